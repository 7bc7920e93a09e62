"""A run resumed from any point is the run that was not interrupted."""

import shutil

import pytest
import torch
from lightning import Callback

from tests.helpers import compose
from tests.torture import table
from vae2ch.callbacks.logs import forget_steps_after
from vae2ch.callbacks.signals import Interrupted, Signals
from vae2ch.cli import run
from vae2ch.cli.trainer import build_trainer, silence_lightning
from vae2ch.data import Batch
from vae2ch.training.resume_point import ResumePoint, resume_point

EPOCHS, BATCHES = 3, 4
STEPS = EPOCHS * BATCHES
SIZE = ("representation.n_fft=64", "representation.hop=16", "representation.frames=32", "latent_dim=4")


def settings(folder, *overrides):
    limits = (f"trainer.max_epochs={EPOCHS}", f"trainer.limit_train_batches={BATCHES}", "minutes=null")
    small = ("data.batch_size=2", "data.cache=null", "media.sounds=1", "trainer.precision=32-true", "trainer=cpu")
    return compose("data=folder", f'data.root="{folder}"', *SIZE, *limits, *small, *overrides)


class Record(Callback):
    """Segments and weights of each step, and a stop after a number of steps, or in the validation after them."""

    def __init__(self, signals, stop=None, validating=False):
        self.signals, self.stop, self.validating = signals, stop, validating
        self.segments, self.weights, self.points = {}, {}, []

    def on_train_batch_end(self, trainer, module, outputs, batch: Batch, batch_idx):
        self.segments[trainer.global_step] = batch.index.tolist()
        self.weights[trainer.global_step] = module.codec.vae.decoder.latent.weight.clone()

    def on_validation_start(self, trainer, module):
        if trainer.global_step == self.stop and self.validating:
            self.signals.end = 15

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.points.append(resume_point(trainer))
        if trainer.global_step == self.stop:
            self.signals.end = 15


def train(folder, place, checkpoint=None, stop=None, validating=False, workers=0, skip_rest_of_epoch=False):
    """Train in ``place``, with Lightning's own ``ckpt_path``; what was recorded, and the trainer."""
    silence_lightning()
    config, signals = settings(folder, f"data.workers={workers}"), Signals()
    data, module = run.build(config)
    module.skip_rest_of_epoch = skip_rest_of_epoch
    torch.manual_seed(0)
    for weight in module.codec.vae.parameters():
        weight.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(weight.numel()))
    record, trainer = Record(signals, stop, validating), build_trainer(config, place, signals)
    trainer.callbacks = [callback for callback in trainer.callbacks if "Latent" not in type(callback).__name__]
    trainer.callbacks.insert(0, record)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    except Interrupted:
        assert stop is not None
    return record, trainer


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run that was not interrupted."""
    place = tmp_path_factory.mktemp("whole")
    record, trainer = train(folder, place)
    return record, trainer, place


# between two epochs, within one, and the validation of one and of the last; make torture has others
POINTS = [(BATCHES, False), (BATCHES + 1, False), (2 * BATCHES, True), (STEPS, True)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*multi-threaded.*fork")
@pytest.mark.parametrize(("stop", "validating"), POINTS)
def test_a_resumed_run_equals_one_that_was_not_interrupted(stop, validating, whole, folder, tmp_path):
    expected, reference, place = whole
    first, _ = train(folder, tmp_path, stop=stop, validating=validating)
    assert max(first.segments) == stop
    forget_steps_after(tmp_path, stop)
    second, trainer = train(folder, tmp_path, tmp_path / "checkpoints" / "last.ckpt", workers=stop % 2)
    assert first.segments | second.segments == expected.segments
    assert first.segments.keys() & second.segments.keys() == set()
    assert all(torch.equal(weight, expected.weights[step]) for step, weight in second.weights.items())
    assert table(tmp_path) == table(place)
    for one, other in zip(trainer.callbacks, reference.callbacks, strict=True):
        if type(one).__name__ in ("Patience", "Checkpoints"):
            assert one.state_dict() == other.state_dict()
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (torch.load(root / "checkpoints" / name) for root in (tmp_path, place))
        assert (
            one["loops"]["fit_loop"]["epoch_loop.batch_progress"]
            == other["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        )
        for key, value in other["state_dict"].items():
            assert torch.equal(one["state_dict"][key], value), (name, key)
    shutil.rmtree(tmp_path / "checkpoints")


@pytest.mark.slow
def test_with_other_sounds_training_goes_on_with_the_next_epoch(folder, tmp_path):
    train(folder, tmp_path, stop=6)
    second, trainer = train(folder, tmp_path, tmp_path / "checkpoints" / "last.ckpt", skip_rest_of_epoch=True)
    assert second.points[0] == ResumePoint(6, 2, 0, False)
    assert trainer.global_step == 6 + BATCHES


def test_points_between_steps_count_epochs_batches_and_steps(whole):
    points = whole[0].points
    assert points == [ResumePoint(step, step // BATCHES, step % BATCHES, False) for step in range(STEPS)]
