"""Shares of a run's time: each action belongs to one part, and together they are the whole."""

import lightning
import pytest

from tests.helpers import QUICK
from vae2ch.bench import common
from vae2ch.bench.shares import PARTS, StageProfiler, part_of, shares
from vae2ch.cli.run import build
from vae2ch.cli.trainer import silence_lightning


def test_actions_of_the_profiler_belong_to_parts():
    assert part_of("train run_training_batch") == "training steps"
    assert part_of("train [Strategy]SingleDeviceStrategy.batch_to_device") == "segments: reading, augmenting, analysing"
    assert part_of("validate [Strategy]DDPStrategy.batch_to_device") == "validation"
    assert part_of("validate [Callback]TensorBoardMedia.on_validation_end") == "pictures and sounds for TensorBoard"
    assert part_of("train run_training_epoch") == ""
    assert part_of("train save_checkpoint") == ""  # called by Checkpoints, and counted there


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_a_training_has_the_actions_of_which_the_parts_are(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silence_lightning()
    data, module = build(common.settings(folder, [*QUICK, "data.cache=null"]))
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=2, enable_model_summary=False, **options
    )
    trainer.profiler = StageProfiler(trainer)
    trainer.fit(module, datamodule=data)
    found = {part_of(action) for action in trainer.profiler.recorded_durations}
    assert set(list(PARTS)[:3]) <= found
    whole = sum(map(sum, trainer.profiler.recorded_durations.values()))
    assert all(share > 0 for share in list(shares(trainer.profiler.recorded_durations, whole).values())[:3])


def test_shares_add_up_to_the_whole():
    durations = {"train run_training_batch": [1.0, 2.0], "train [Callback]Checkpoints.on_save": [0.5], "other": [9.0]}
    found = shares(durations, whole=10.0)
    assert found["training steps"] == pytest.approx(30)
    assert found["checkpoints"] == pytest.approx(5)
    assert found["the rest"] == pytest.approx(65)
    assert sum(found.values()) == pytest.approx(100)
