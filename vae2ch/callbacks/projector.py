"""Latents of training and validation segments in TensorBoard's projector."""

import io
from pathlib import Path

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from vae2ch.callbacks.logs import LogFailure
from vae2ch.data.dataset import evenly_spaced
from vae2ch.files import replace_text
from vae2ch.terminal import ProgressDisplay
from vae2ch.training import CodecTraining

MAX_SEGMENTS = 2000  # of each split; more make the projector slow
FOLDER = "projector"
COLUMNS = ("file", "split")
CONFIG = f"""embeddings {{
  tensor_name: "latents"
  tensor_path: "{FOLDER}/tensors.tsv"
  metadata_path: "{FOLDER}/metadata.tsv"
}}
"""


class LatentProjector(lightning.Callback):
    """``projector/``: posterior means with file name and split, written at the end of training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        if trainer.is_global_zero:
            with LogFailure("the latents for TensorBoard's projector").reported():
                write_projector(self.folder, *self.embedding(trainer, module))

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


def write_projector(folder: Path, means: Tensor, rows: list[tuple[str, str]]) -> None:
    """Write latents [N, D] with a row of text each, in place of those of an earlier session. Raises ``OSError``."""
    (folder / FOLDER).mkdir(exist_ok=True)
    tensors = io.StringIO()
    np.savetxt(tensors, means.numpy(), fmt="%.7g", delimiter="\t")
    replace_text(folder / FOLDER / "tensors.tsv", tensors.getvalue())
    replace_text(folder / FOLDER / "metadata.tsv", "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows)))
    replace_text(folder / "projector_config.pbtxt", CONFIG)
