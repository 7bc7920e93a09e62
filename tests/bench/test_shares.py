"""Shares of a run's time: each action belongs to one part, and together they are the whole."""

import pytest

from vae2ch.bench.shares import part_of, shares


def test_actions_of_the_profiler_belong_to_parts():
    assert part_of("run_training_batch") == "training steps"
    assert part_of("[_TrainingEpochLoop].train_dataloader_next") == "segments: reading, augmenting, analysing"
    assert part_of("[Strategy]SingleDeviceStrategy.validation_step") == "validation"
    assert part_of("[Callback]TensorBoardMedia.on_validation_epoch_end") == "pictures and sounds for TensorBoard"
    assert part_of("run_training_epoch") == ""
    assert part_of("save_checkpoint") == ""  # called by Checkpoints, and counted there


def test_shares_add_up_to_the_whole():
    durations = {"run_training_batch": [1.0, 2.0], "[Callback]Checkpoints.on_train_batch_end": [0.5], "other": [9.0]}
    found = shares(durations, whole=10.0)
    assert found["training steps"] == pytest.approx(30)
    assert found["checkpoints"] == pytest.approx(5)
    assert found["the rest"] == pytest.approx(65)
    assert sum(found.values()) == pytest.approx(100)
