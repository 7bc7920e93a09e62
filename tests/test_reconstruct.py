import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import python, refused
from vae2ch import audio, inference
from vae2ch.__main__ import targets
from vae2ch.metrics import snr
from vae2ch.refusal import Refusal
from vae2ch.training import FORMAT

RATE = 16000


def vae2ch(*arguments, cwd):
    """The command as an installed user runs it, away from the repository."""
    return python("-m", "vae2ch", *arguments, cwd=cwd)


@pytest.fixture
def checkpoint(trained, tmp_path):
    """A checkpoint alone in an empty folder."""
    return Path(shutil.copy(trained[0] / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt"))


@pytest.fixture
def sounds(tmp_path):
    root = tmp_path / "in put"
    click = np.zeros(5000, np.float32)
    click[100] = 1
    waves = {
        "click": click,
        "silence": np.zeros(4000, np.float32),
        "constant": np.full(3000, 0.5, np.float32),
        "noise": np.random.default_rng(0).uniform(-1, 1, 40_001).astype(np.float32),
        "one sample": np.full(1, 0.3, np.float32),
    }
    for name, wave in waves.items():
        audio.write(root / "deep" / f"{name}.wav", wave, RATE)
    return root


def read(path):
    wave, rate, _ = audio.decode(path)
    assert rate == RATE
    return torch.from_numpy(wave)


def test_the_ceiling_is_exact_for_every_file(checkpoint, sounds, tmp_path):
    done = vae2ch("reconstruct", checkpoint, sounds, "--out", tmp_path / "out", "--ceiling", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "5 of 5 files" in done.stdout
    for path in sounds.rglob("*.wav"):
        assert snr(read(path), read(tmp_path / "out" / path.relative_to(sounds))) > 110, path


def test_a_lone_checkpoint_makes_the_same_bytes(trained, checkpoint, sounds, tmp_path):
    for model, out in ((trained[0], "first"), (checkpoint, "second")):
        done = vae2ch("reconstruct", model, sounds / "deep" / "noise.wav", "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    first, second = (tmp_path / out / "noise.wav" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert read(first).numel() == 40_001
    assert read(first).abs().max() > 0
    assert not torch.equal(read(first), read(sounds / "deep" / "noise.wav"))


def test_what_does_not_decode_does_not_stop_the_rest(checkpoint, sounds, tmp_path):
    (sounds / "bad.flac").write_text("no sound")
    done = vae2ch("reconstruct", checkpoint, sounds, "missing.wav", "--out", "out", "--ceiling", cwd=tmp_path)
    assert done.returncode == 1
    assert "bad.flac: does not decode" in done.stderr
    assert "missing.wav: no such file" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 5


def test_other_rates_are_brought_to_the_models(checkpoint, tmp_path):
    audio.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 44101).astype(np.float32), 44100)
    done = vae2ch("reconstruct", checkpoint, "a.wav", "--out", "out", "--ceiling", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = torch.from_numpy(audio.load(tmp_path / "a.wav", RATE))
    assert abs(expected.numel() - 16000) <= 1
    assert snr(expected, read(tmp_path / "out" / "a.wav")) > 110


def test_crossfades_sum_to_one():
    weights = inference.crossfade(1000, 125)
    assert torch.allclose(weights[:125] + weights[-125:], torch.ones(125))
    assert weights[125:-125].eq(1).all()


@pytest.mark.parametrize("length", [1, 500, 1984, 1985, 10_000])
def test_any_length_through_the_model(trained, length):
    module = inference.load(trained[0])
    made = inference.reconstruct(module, torch.randn(length))
    assert made.shape == (length,)
    assert torch.isfinite(made).all()


@pytest.mark.parametrize("samples", [1, 500, None])
def test_a_variation_keeps_length_and_peak(trained, samples):
    module = inference.load(trained[0])
    wave = 0.1 * torch.randn(samples or module.representation.segment)
    made = inference.variation(module, wave, seed=1)
    assert made.shape == wave.shape
    assert torch.equal(made, inference.variation(module, wave, seed=1))
    others = [inference.variation(module, wave, seed) for seed in (2, 3, 4)]
    assert samples == 1 or not any(torch.equal(made, other) for other in others)
    peak = float(wave.abs().max())
    assert made.abs().max() <= 1.0001 * peak
    assert samples or float(made.abs().max()) == pytest.approx(peak)
    assert torch.allclose(inference.variation(module, 2 * wave, seed=1), 2 * made, atol=0.01 * peak)
    assert inference.variation(module, 0 * wave, seed=1).eq(0).all()


def test_samples_are_seeded_and_differ(trained):
    module = inference.load(trained[0])
    made = inference.sample(module, 3, seed=1)
    assert made.shape == (3, module.representation.segment)
    assert torch.equal(made, inference.sample(module, 3, seed=1))
    assert not torch.allclose(made[0], made[1])


def test_samples_are_as_loud_as_the_sounds(trained, folder):
    module = inference.load(trained[0])
    peaks = torch.tensor([abs(sound.wave).max() for sound in audio.scan(folder, RATE).sounds])
    assert module.peaks.unique().numel() > 3  # of several sounds, not the one that draws begin with
    assert peaks.min() / 3 < module.peaks.min()  # a later part of a note is softer
    assert module.peaks.max() < peaks.max() * 1.5
    _, asked = module.draw(20, torch.Generator().manual_seed(0))
    assert torch.allclose(inference.sample(module, 20, seed=0).abs().amax(dim=1), asked)
    assert peaks.max() < 0.9  # without peaks of their own they would be at full scale


def change(path, **entries):
    checkpoint = torch.load(path, weights_only=True)
    torch.save({**checkpoint, **entries}, path)


def test_refuses_what_is_no_checkpoint(checkpoint, sounds, tmp_path):
    def run(model):
        return vae2ch("reconstruct", model, sounds, "--out", "out", cwd=tmp_path)

    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    refused(run("text.ckpt"), "text.ckpt is not a readable checkpoint")
    refused(run("nowhere"), "nowhere does not exist")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    refused(run("run"), "run holds no checkpoints/best.ckpt")
    assert not (tmp_path / "out").exists()


def test_loading_refuses_damage_and_mismatch(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 100):
        (tmp_path / "cut.ckpt").write_bytes(whole[:keep])
        with pytest.raises(Refusal, match="truncated"):
            inference.load(tmp_path / "cut.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(Refusal, match="not one of vae2ch"):
        inference.load(tmp_path / "foreign.ckpt")
    change(checkpoint, vae2ch=99)
    with pytest.raises(Refusal, match=f"format 99; this version reads format {FORMAT}"):
        inference.load(checkpoint)
    settings = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    change(checkpoint, vae2ch=FORMAT, hyper_parameters={**settings, "model": {"latent_dim": 7, "dropout": 0.0}})
    with pytest.raises(Refusal, match="does not fit its own settings"):
        inference.load(checkpoint)
    change(checkpoint, hyper_parameters={})
    with pytest.raises(Refusal, match="does not fit its own settings"):
        inference.load(checkpoint)


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("sprung",))

    torch.save({"vae2ch": 2, "trap": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(Refusal, match="not a readable checkpoint"):
        inference.load(tmp_path / "trap.ckpt")


def test_names_never_collide_and_inputs_are_never_overwritten(checkpoint, tmp_path):
    for name in ("a/kick.wav", "b/kick.wav", "a/kick.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [target.name for _, target in targets([tmp_path / "a", tmp_path / "b" / "kick.wav"], tmp_path / "out")]
    assert found == ["kick.wav", "kick-2.wav", "kick-3.wav"]
    done = vae2ch("reconstruct", checkpoint, "b/kick.wav", "--out", "b", cwd=tmp_path)
    refused(done, "b/kick.wav would overwrite an input")
    assert (tmp_path / "b" / "kick.wav").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["COMMAND"]),
        (["reconstruc"], ["reconstruc", "reconstruct"]),
        (["reconstruct", "x.ckpt"], ["INPUT", "--out"]),
        (["reconstruct", "x.ckpt", "y.wav", "--out", "z", "--celing"], ["--celing"]),
    ],
)
def test_refuses_arguments_in_one_line(arguments, words, tmp_path):
    refused(vae2ch(*arguments, cwd=tmp_path), *words)
