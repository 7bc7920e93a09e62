import math
from types import SimpleNamespace

import pytest
import torch

from vae2ch.callbacks.scores import MAX_SEGMENTS, ReconstructionScores
from vae2ch.data import Batch

RATE = 16000


class RecordedModule:
    """Logs into lists; its codec returns sounds at half their amplitude."""

    def __init__(self):
        self.codec = SimpleNamespace(sample_rate=RATE, reconstruct=lambda wave: wave / 2)
        self.logged = {}

    def log(self, name, value, **options):
        assert name not in self.logged
        self.logged[name] = value


def scores_of(waves, index, segments):
    samples = torch.full((len(waves),), RATE)
    batch = Batch(None, waves, samples, torch.tensor(index), waves.abs().amax(dim=1))
    module, callback = RecordedModule(), ReconstructionScores()
    trainer = SimpleNamespace(datamodule=SimpleNamespace(datasets={"test": range(segments)}), world_size=1)
    callback.on_test_start(trainer, module)
    callback.on_test_batch_end(trainer, module, None, batch, 0)
    callback.on_test_epoch_end(trainer, module)
    return module.logged, callback.scores


def test_each_test_sound_is_scored_and_sounds_with_a_pitch_are_counted():
    tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(RATE) / RATE)
    click = torch.zeros(RATE)
    click[100] = 1.0
    logged, scores = scores_of(torch.stack([tone, click]), [0, 1], segments=2)
    expected = 20 * math.log10(2)  # the error is half the sound
    assert logged["test/snr"] == pytest.approx(expected, abs=0.01)
    assert logged["test/note_accuracy"] == 1
    assert logged["test/pitched_segments"] == 1
    assert logged["test/log_spectral_distance"] == pytest.approx(
        (scores[0]["log_spectral_distance"] + scores[1]["log_spectral_distance"]) / 2
    )


def test_of_many_test_segments_an_even_selection_is_scored():
    _, scores = scores_of(torch.zeros(2, RATE), [0, 1], segments=2 * MAX_SEGMENTS)
    assert scores.keys() == {0}
