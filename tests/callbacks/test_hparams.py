from types import SimpleNamespace

import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.helpers import compose
from vae2ch.callbacks.hparams import HyperparameterRow


def test_the_row_holds_settings_and_test_scores(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)
    metrics = {"test/snr": torch.tensor(12.5), "train/loss": torch.tensor(1.0)}
    loggers = [CSVLogger(tmp_path, name="", version=""), logger]
    trainer = SimpleNamespace(callback_metrics=metrics, loggers=loggers, global_step=20)
    HyperparameterRow(compose("latent_dim=7", "preset=light")).on_test_end(trainer, None)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["test/snr"]
    assert [(event.step, event.value) for event in events.Scalars("test/snr")] == [(20, 12.5)]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    row = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert row["* latent_dim"].number_value == 7  # settings outside any group have a star
    assert row["* preset"].string_value == "light"
    assert row["augment/speed"].number_value == 0.06
    assert row["data/limit"].string_value == "None"
    assert all(name.startswith("* ") for name in sorted(row)[:5])  # the tab's first columns
