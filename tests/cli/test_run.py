"""Building a run, and what it prints."""

import math
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers import QUICK, compose
from vae2ch.callbacks.signals import Interrupted
from vae2ch.cli import hardware, run
from vae2ch.cli.trainer import build_trainer
from vae2ch.errors import InputError, TrainingError


@pytest.mark.parametrize("setting", ["n_fft=1023", "hop=512"])
def test_a_representation_that_cannot_be_inverted_is_rejected(setting):
    with pytest.raises(InputError, match=r"n_fft must be even and representation\.hop at most half of it"):
        run.build(compose(f"representation.{setting}"))


def write_undecodable(root):
    for name in ("a.wav", "b.flac"):
        (root / name).write_text("not sound")


@pytest.mark.parametrize(
    ("root", "prepare", "parts"),
    [
        ("nowhere", None, ["nowhere does not exist"]),
        (".", None, ["no sound file in", ".wav"]),
        (".", write_undecodable, ["none of the 2", "a.wav: ", "b.flac: "]),
    ],
)
def test_a_folder_without_sounds_is_rejected(root, prepare, parts, tmp_path):
    if prepare:
        prepare(tmp_path)
    data, _ = run.build(compose("data=folder", f"data.root={tmp_path / root}", "data.cache=null", *QUICK))
    with pytest.raises(InputError) as caught:
        data.setup()
    for part in parts:
        assert part in str(caught.value)


def test_a_home_folder_of_an_unknown_user_is_rejected():
    data, _ = run.build(compose("data=folder", 'data.root="~nosuchuser/x"', *QUICK))
    with pytest.raises(InputError, match="~nosuchuser/x: there is no such user"):
        data.setup()


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", None)])
def test_latents_are_optimised_in_the_precision_of_the_training(precision, dtype):
    _, module = run.build(compose(f"trainer.precision={precision}", *QUICK))
    assert module.codec.autocast_dtype == dtype


def test_the_codec_is_optimised_for_the_loss_that_it_is_trained_with():
    _, module = run.build(compose("training.amplitude_weight=0.25", "training.kl_weight=0.125", *QUICK))
    assert (module.codec.latent_optimiser.amplitude_weight, module.codec.latent_optimiser.kl_weight) == (0.25, 0.125)


def test_the_summary_has_size_device_precision_and_limits(tmp_path):
    made = hardware.resolve(compose("trainer.precision=32-true", "minutes=2.5", "latent_dim=7"))
    _, module = run.build(made)
    summary = run.model_summary(made, module.codec, build_trainer(made, tmp_path))
    parameters = sum(parameter.numel() for parameter in module.codec.vae.parameters())
    assert f"{parameters / 1e6:.1f} million parameters, 2 x 512 x 128 -> 7 latents" in summary
    for part in ("1 x cpu, 32-true", "preset medium", "at most 100 epochs or 2.5 minutes"):
        assert part in summary


def test_the_results_are_scores_and_commands_for_the_run():
    scores = {"test/loss": 0.1234, "test/note_accuracy": 0.75, "test/pitched_segments": 8.0}
    lines = run.result_summary(Path("outputs/a b"), scores).splitlines()
    assert any(line.split() == ["loss", "0.123"] for line in lines)
    assert any("0.750" in line and "of the 8 " in line for line in lines)
    assert any("reconstruct 'outputs/a b' SOUNDS" in line for line in lines)
    assert sum("note_accuracy" in line for line in lines) == 1


def test_results_without_a_pitch_say_so():
    lines = run.result_summary(Path("outputs/a"), {"test/loss": math.inf, "test/pitched_segments": 0.0}).splitlines()
    (line,) = (line for line in lines if "note_accuracy" in line)
    assert line.split()[1:3] == ["-", "no"]


@pytest.mark.parametrize("saved", [True, False])
def test_an_interrupt_is_reported_with_the_checkpoint(saved, tmp_path, capsys):
    if saved:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(Interrupted) as caught, run.interruptible(tmp_path):
        raise Interrupted(signal.SIGINT, 7 if saved else 0)
    assert caught.value.code == 130
    message = capsys.readouterr().err
    assert "vae2ch: interrupted (SIGINT); " in message
    assert ("step 7 is saved; go on with " in message) == saved
    assert ("nothing was saved" in message) != saved


def test_a_training_that_cannot_go_on_names_its_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"^step 3 is bad$"), run.interruptible(tmp_path):
        raise TrainingError("step 3 is bad")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    expected = rf"step 3 is bad; go on .* resume=\S*{tmp_path.name} training\.learning_rate=VALUE"
    with pytest.raises(InputError, match=expected), run.interruptible(tmp_path):
        raise TrainingError("step 3 is bad")
