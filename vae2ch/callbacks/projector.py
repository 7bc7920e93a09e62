"""Latents of training and validation segments in TensorBoard's projector."""

import lightning
import torch
from torch import Tensor
from torch.utils.data import Subset

from vae2ch.callbacks.followed import tensorboard_writer
from vae2ch.data.dataset import evenly_spaced
from vae2ch.terminal import ProgressDisplay
from vae2ch.training import CodecTraining

MAX_SEGMENTS = 2000  # of each split; more make the projector slow


class LatentProjector(lightning.Callback):
    """Embedding of posterior means with file name and split, written at the end of training."""

    def on_train_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        if not trainer.is_global_zero:
            return
        with tensorboard_writer(trainer) as writer:
            if writer:
                means, rows = self.embedding(trainer, module)
                columns = ["file", "split"]
                writer.add_embedding(means, rows, metadata_header=columns, global_step=trainer.global_step)

    def embedding(self, trainer: lightning.Trainer, module: CodecTraining) -> tuple[Tensor, list[tuple[str, str]]]:
        """Posterior means of segments, and their labels and splits."""
        data = trainer.datamodule
        module.eval()  # after training Lightning leaves it in training mode
        means: list[Tensor] = []
        rows: list[tuple[str, str]] = []
        chosen = {split: evenly_spaced(MAX_SEGMENTS, len(data.datasets[split])) for split in ("train", "validation")}
        progress = ProgressDisplay("embedding", sum(map(len, chosen.values())), "segments")
        for split, indices in chosen.items():
            for item in data.loader(Subset(data.datasets[split], indices)):
                progress.show(len(rows))
                batch = data.analyse(type(item)(*(part.to(module.device) for part in item)))
                with torch.no_grad():
                    means.append(module.codec.vae.encode(batch.spectrogram).mean.cpu())
                rows += [(data.label(split, int(index)), split) for index in batch.index]
        progress.close()
        return torch.cat(means), rows
