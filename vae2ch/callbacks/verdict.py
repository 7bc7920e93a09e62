"""How a finished run did on the test sounds, and its row in TensorBoard's HPARAMS tab."""

import math
from collections.abc import Iterator

import lightning
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from vae2ch import inference, metrics
from vae2ch.data import Batch
from vae2ch.data.dataset import spread
from vae2ch.training import VAEModule

MEASURED = 300  # test sounds at most: pitch alone takes a quarter of a second each


def flat(settings: dict, prefix: str = "") -> Iterator[tuple[str, float | str | bool]]:
    """A nested configuration as dotted keys, what the HPARAMS tab can show.

    The tab sorts by name and shows the first five: those at the root (latent_dim, preset, ...) have a star.
    """
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield (prefix or "* ") + key, "none" if value is None else value


class Verdict(lightning.Callback):
    """Compares test sounds, evenly chosen where there are many, with their reconstructions, by ear's measures.

    Logs ``test/snr`` and ``test/log_spectral_distance`` in dB, ``test/multi_resolution_stft``, and
    ``test/pitch_right``: among the sounds in which a pitch is heard, the share whose
    reconstruction has it within 50 cents; ``test/pitch_kept``, the share of their frames with a pitch in which it
    has; ``test/pitched`` is how many sounds these are.
    """

    def __init__(self, settings: dict) -> None:
        self.settings = settings

    def on_test_batch_end(
        self, trainer: lightning.Trainer, module: VAEModule, outputs: None, batch: Batch, batch_idx: int
    ) -> None:
        """Measure those sounds of a batch that are among the ``MEASURED``."""
        followed = set(spread(MEASURED, len(trainer.datamodule.datasets["test"])))
        for wave, samples, index in zip(batch.wave, batch.samples, batch.index.tolist(), strict=True):
            if index not in followed:
                continue
            original = wave[: int(samples)].cpu()
            estimate = inference.reconstruct(module, wave)[: int(samples)].cpu()
            rate = module.representation.sample_rate
            measured = self.measure(original, estimate, rate, metrics.pitch(original, rate))
            for name, value in measured.items():
                module.log(f"test/{name}", value, on_epoch=True, on_step=False, batch_size=1)
            module.log("test/pitched", float("pitch_right" in measured), on_epoch=True, reduce_fx="sum", batch_size=1)

    @staticmethod
    def measure(original: Tensor, estimate: Tensor, sample_rate: int, pitch: metrics.Pitch) -> dict[str, float]:
        """Every measure of one sound [S], whose pitch is known, and its estimate [S]."""
        measured = {
            "snr": float(metrics.snr(original, estimate)),
            "log_spectral_distance": float(metrics.log_spectral_distance(original[None], estimate[None])),
            "multi_resolution_stft": float(metrics.multi_resolution_stft(original, estimate)),
        }
        if not math.isnan(pitch.note):
            other = metrics.pitch(estimate, sample_rate)
            # NaN, no pitch heard, counts as wrong
            measured["pitch_right"] = float(abs(other.note - pitch.note) < metrics.QUARTER_TONE)
            measured["pitch_kept"] = metrics.pitch_kept(pitch, other)
        return measured

    def on_test_end(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Fill the run's row of the HPARAMS tab, so that sweeps compare."""
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(flat(self.settings)), scores, step=trainer.global_step)
