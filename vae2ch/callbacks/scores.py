"""Scores of the reconstructed test sounds."""

import lightning

from vae2ch import metrics
from vae2ch.data import Batch
from vae2ch.data.dataset import evenly_spaced
from vae2ch.training import CodecTraining

MAX_SEGMENTS = 300  # evenly spaced test segments; the pitch alone takes a quarter of a second each


class ReconstructionScores(lightning.Callback):
    """Means of ``metrics.score`` over test segments; those of pitch are over ``test/pitched_segments``."""

    def on_test_batch_end(
        self, trainer: lightning.Trainer, module: CodecTraining, outputs: None, batch: Batch, batch_idx: int
    ) -> None:
        scored = set(evenly_spaced(MAX_SEGMENTS, len(trainer.datamodule.datasets["test"])))
        rate = module.codec.sample_rate
        for wave, samples, index in zip(batch.wave, batch.samples.tolist(), batch.index.tolist(), strict=True):
            if index not in scored:
                continue
            original, estimate = wave[:samples].cpu(), module.codec.reconstruct(wave)[:samples].cpu()
            scores = metrics.score(original, estimate, rate, metrics.pitch(original, rate))
            for name, value in scores.items():
                module.log(f"test/{name}", value, on_epoch=True, on_step=False, batch_size=1)
            pitched = float("note_accuracy" in scores)
            module.log("test/pitched_segments", pitched, on_epoch=True, reduce_fx="sum", batch_size=1)
