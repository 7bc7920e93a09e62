"""Scores of the reconstructed test sounds."""

import lightning
import torch

from vae2ch import metrics
from vae2ch.data import Batch
from vae2ch.data.dataset import evenly_spaced
from vae2ch.training import CodecTraining

MAX_SEGMENTS = 300  # evenly spaced test segments; the pitch alone takes a quarter of a second each


class ReconstructionScores(lightning.Callback):
    """Means of ``metrics.score`` over test segments; those of pitch are over ``test/pitched_segments``."""

    def __init__(self) -> None:
        self.scores: dict[int, dict[str, float]] = {}  # of each segment, by index

    def on_test_start(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        self.chosen = set(evenly_spaced(MAX_SEGMENTS, len(trainer.datamodule.datasets["test"])))

    def on_test_batch_end(
        self, trainer: lightning.Trainer, module: CodecTraining, outputs: None, batch: Batch, batch_idx: int
    ) -> None:
        rate = module.codec.sample_rate
        for wave, samples, index in zip(batch.wave, batch.samples.tolist(), batch.index.tolist(), strict=True):
            if index in self.chosen:
                original, estimate = wave[:samples].cpu(), module.codec.reconstruct(wave)[:samples].cpu()
                self.scores[index] = metrics.score(original, estimate, rate, metrics.pitch(original, rate))

    def on_test_epoch_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Log the means over the segments of all processes."""
        shares: list[dict[int, dict[str, float]]] = [self.scores]
        if trainer.world_size > 1:
            shares = [{} for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(shares, self.scores)
        segments = [scores for _, scores in sorted({k: v for share in shares for k, v in share.items()}.items())]
        for name in sorted({name for scores in segments for name in scores}):
            values = [scores[name] for scores in segments if name in scores]
            module.log(f"test/{name}", sum(map(float, values)) / len(values), sync_dist=True)
        pitched = sum("note_accuracy" in scores for scores in segments)
        module.log("test/pitched_segments", float(pitched), sync_dist=True)
