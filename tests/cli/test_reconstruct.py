"""The command ``python -m vae2ch reconstruct``; tests/test_codec.py has what the codec makes of a sound."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import assert_one_line_error, python, small_codec_config
from vae2ch import audio
from vae2ch.cli import commands, hardware
from vae2ch.codec import SoundCodec
from vae2ch.errors import InputError
from vae2ch.metrics import snr

RATE = 16000


def reconstruct(*arguments):
    """Run the command in this process; returns its exit status."""
    parsed = commands.build_parser().parse_args(["reconstruct", *map(str, arguments)])
    return parsed.function(parsed)


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    made = SoundCodec(small_codec_config()).eval().requires_grad_(False)
    made.vae.decoder.magnitude_head.weight.zero_()  # with random weights, peaks would be far above full scale
    made.autocast_dtype = hardware.autocast_dtype("cpu")
    return made


@pytest.fixture
def run_folder(codec, tmp_path):
    """A run's folder with a checkpoint of an untrained codec."""
    path = tmp_path / "outputs" / "run" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    state = {f"codec.{name}": value for name, value in codec.state_dict().items()}
    torch.save({"vae2ch": codec.description(), "state_dict": state}, path)
    return path.parents[1]


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


def test_the_ceiling_of_every_file_is_the_original(run_folder, sounds, tmp_path, capsys):
    assert reconstruct(run_folder, sounds, "--out", tmp_path / "out", "--ceiling") == 0
    assert "5 of 5 files" in capsys.readouterr().out
    for path in sounds.rglob("*.wav"):
        assert snr(read(path), read(tmp_path / "out" / path.relative_to(sounds))) > 110, path


def test_without_ceiling_the_model_is_used(run_folder, sounds, tmp_path, codec):
    reconstruct(run_folder, sounds, "--out", tmp_path / "out", "--device", "cpu")
    for name in ("noise", "one sample"):
        original, written = (read(root / "deep" / f"{name}.wav") for root in (sounds, tmp_path / "out"))
        assert written.shape == original.shape
        expected = codec.reconstruct(original)
        assert torch.allclose(written, expected, atol=1e-3 * float(expected.abs().max()))
        assert snr(original, written) < 20


def test_a_run_and_its_checkpoint_give_the_same_bytes(run_folder, sounds, tmp_path):
    checkpoint = Path(run_folder / "checkpoints" / "best.ckpt").rename(tmp_path / "alone.ckpt")
    (run_folder / "checkpoints" / "last.ckpt").write_bytes(checkpoint.read_bytes())
    for model, out in ((run_folder, "first"), (checkpoint, "second")):
        reconstruct(model, sounds / "deep" / "noise.wav", "--out", tmp_path / out)
    first, second = (tmp_path / out / "noise.wav" for out in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_files_that_do_not_decode_are_named_and_the_others_written(run_folder, sounds, tmp_path, capsys):
    (sounds / "bad.flac").write_text("not sound")
    status = reconstruct(run_folder, sounds, tmp_path / "missing.wav", "--out", tmp_path / "out", "--ceiling")
    assert status == 1
    output, errors = capsys.readouterr()
    assert "bad.flac: does not decode" in errors
    assert "missing.wav: cannot be read: no such file" in errors
    assert "5 of 7 files" in output
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 5


def test_sounds_are_resampled_to_the_rate_of_the_model(run_folder, tmp_path):
    audio.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 44101).astype(np.float32), 44100)
    reconstruct(run_folder, tmp_path / "a.wav", "--out", tmp_path / "out", "--ceiling")
    expected = torch.from_numpy(audio.load(tmp_path / "a.wav", RATE))
    assert abs(expected.numel() - 16000) <= 1
    assert snr(expected, read(tmp_path / "out" / "a.wav")) > 110


def test_outputs_of_the_same_name_are_numbered(tmp_path):
    for name in ("a/kick.wav", "b/kick.wav", "a/kick.flac", "a/deep/kick.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / "out"
    pairs = commands.output_files([tmp_path / "a", tmp_path / "b" / "kick.wav"], out)
    found = [(file.relative_to(tmp_path).as_posix(), output.relative_to(out).as_posix()) for file, output in pairs]
    assert found == [
        ("a/deep/kick.wav", "deep/kick.wav"),
        ("a/kick.flac", "kick.wav"),
        ("a/kick.wav", "kick-2.wav"),
        ("b/kick.wav", "kick-3.wav"),
    ]


def test_no_output_is_another_one_on_any_disk_or_has_too_long_a_name(tmp_path):
    names = ["Kick.wav", "kick.flac", "\u00e9.wav", "e\u0301.wav", "A/x.wav", "a/x.wav"]
    long = [f"{'c' * 252}.au", f"{'c' * 251}.wav", f"{'ü' * 126}.au"]
    for name in (*names, *long):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).touch()
    outputs = [output for _, output in commands.output_files([tmp_path / "s"], tmp_path / "out")]
    found = [output.relative_to(tmp_path / "out").as_posix() for output in outputs]
    assert found[:2] == ["A/x.wav", "Kick.wav"]
    assert {"a/x-2.wav", "kick-2.wav", "e\u0301.wav", "\u00e9-2.wav", f"{'ü' * 125}.wav"} < set(found)
    assert len(found) == len(names) + len(long)
    (tmp_path / "out" / "A").mkdir(parents=True)
    (tmp_path / "out" / "a").mkdir()
    for output in outputs:
        output.touch(exist_ok=False)


def test_an_input_is_never_overwritten(run_folder, sounds):
    before = {path: path.read_bytes() for path in sounds.rglob("*.wav")}
    with pytest.raises(InputError, match=r"click\.wav would overwrite an input"):
        reconstruct(run_folder, sounds / "deep" / "click.wav", "--out", sounds / "deep")
    assert {path: path.read_bytes() for path in sounds.rglob("*.wav")} == before


def contents(folder):
    """Bytes of all files below a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("out", ["made", "deep/made", "."])
def test_a_second_run_finds_what_the_first_found(out, run_folder, sounds, monkeypatch, capsys):
    """With ``--out`` inside the folder of sounds, which is the working directory, and a run in it too."""
    (sounds / "one.flac").write_bytes((sounds / "deep" / "noise.wav").read_bytes())
    (sounds / "deep" / "noise.wav").rename(sounds / "deep" / "noise.wave")
    for path in (sounds / "deep").glob("*.wav"):
        path.rename(path.with_suffix(".aif"))
    run_folder.rename(run := sounds / "run")
    (run / ".hydra").mkdir()
    (run / "run.json").write_text("{}")
    audio.write(run / "audio" / "sample-01.wav", np.ones(10, np.float32), RATE, result=True)
    monkeypatch.chdir(sounds)
    assert reconstruct("run", ".", "--out", out, "--ceiling") == 0
    first = contents(sounds)
    output, errors = capsys.readouterr()
    assert f"6 of 6 files written to {out}" in output
    assert errors.splitlines()[0] == "vae2ch: .: left out folders of runs (1): run"
    assert reconstruct("run", ".", "--out", out, "--ceiling") == 0
    output, errors = capsys.readouterr()
    assert "6 of 6 files" in output
    assert "left out files written by vae2ch (6): " in errors
    assert contents(sounds) == first


def test_results_are_inputs_if_they_are_named_and_otherwise_only_mentioned(run_folder, sounds, tmp_path, capsys):
    reconstruct(run_folder, sounds, "--out", tmp_path / "made", "--ceiling")
    moved = (tmp_path / "made" / "deep" / "noise.wav").rename(tmp_path / "made" / "renamed.flac")
    with pytest.raises(
        InputError, match=r"^no sound to reconstruct in .*made; left out files written by vae2ch \(5\): "
    ):
        reconstruct(run_folder, tmp_path / "made", "--out", tmp_path / "again")
    capsys.readouterr()
    assert reconstruct(run_folder, moved, "--out", tmp_path / "again", "--ceiling") == 0
    assert "1 of 1 files" in capsys.readouterr().out
    assert snr(read(sounds / "deep" / "noise.wav"), read(tmp_path / "again" / "renamed.wav")) > 100


def test_a_model_that_cannot_be_loaded_writes_nothing(sounds, tmp_path):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for name, message in (
        ("text.ckpt", "text.ckpt is not a readable checkpoint"),
        ("nowhere", "nowhere does not exist"),
        ("run", "run holds no checkpoints/best.ckpt"),
    ):
        with pytest.raises(InputError, match=message):
            reconstruct(tmp_path / name, sounds, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_missing_is_rejected(run_folder, sounds, tmp_path):
    with pytest.raises(InputError, match="--device cuda: this machine has none; allowed: cpu"):
        reconstruct(run_folder, sounds, "--out", tmp_path / "out", "--device", "cuda")


def test_the_order_of_model_and_sounds_is_corrected(run_folder, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = "; write: python -m vae2ch reconstruct outputs/"
    for given, message in (
        (["in put/deep/noise.wav"], f"noise.wav is no model.*{write}RUN 'in put/deep/noise.wav' --out x"),
        (["in put"], f"^in put is no model.*{write}RUN 'in put' --out x"),
        (["outputs/run"], f"no sounds are given{write}run SOUNDS --out x"),
        (["in put", "outputs/run"], f"^in put is no model.*{write}run 'in put' --out x"),
        (["in put/deep/noise.wav", "in put"], "noise.wav is no model"),
    ):
        with pytest.raises(InputError, match=message):
            reconstruct(*given, "--out", "x")


@pytest.mark.parametrize("position", range(3))
def test_an_empty_path_never_means_here(position, run_folder, sounds):
    paths = [run_folder, sounds, "x"]
    paths[position] = ""
    name = ("RUN_OR_CKPT", "INPUT", "--out")[position]
    with pytest.raises(InputError, match=f"argument {name}: is empty; give "):
        reconstruct(*paths[:2], "--out", paths[2])


def test_paths_may_begin_with_a_dash_or_have_any_name(run_folder, sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-kicks", "--made", "~x", "-", "  ", "[a] ${b}"):
        sounds.rename(sounds := tmp_path / name)
        parsed = commands.build_parser().parse_args(["reconstruct", "outputs/run", name, "--out", name])
        assert parsed.inputs == [Path(name)]
        assert parsed.out == Path(name)
        assert Path(name, "deep", "noise.wav") in [file for file, _ in commands.output_files(parsed.inputs, parsed.out)]
    assert commands.build_parser().parse_args(["reconstruct", "a", "b", "--out", "-made"]).out == Path("-made")
    with pytest.raises(InputError, match="unrecognized arguments: --nowhere"):
        reconstruct("outputs/run", "--nowhere", "--out", "x")


@pytest.mark.slow
def test_a_checkpoint_of_an_older_format_is_one_line(sounds, tmp_path):
    torch.save({"vae2ch": 6, "hyper_parameters": {}, "state_dict": {}}, tmp_path / "old.ckpt")
    done = python("-m", "vae2ch", "reconstruct", "old.ckpt", sounds, "--out", "out", cwd=tmp_path)
    assert_one_line_error(done, "old.ckpt has checkpoint format 6; this version reads format 7")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["COMMAND"]),
        (["reconstruc"], ["reconstruc", "reconstruct"]),
        (["reconstruct", "x.ckpt"], ["--out"]),
        (["reconstruct", "x.ckpt", "y.wav", "--out", "z", "--celing"], ["--celing"]),
        (["reconstruct", "x.ckpt", ".", "--out", "z"], ["no sound file in ."]),
    ],
)
def test_wrong_arguments_are_one_line(arguments, parts, tmp_path):
    assert_one_line_error(python("-m", "vae2ch", *arguments, cwd=tmp_path), *parts)


@pytest.mark.parametrize("arguments", [[], ["reconstruct"]])
def test_help_has_an_example_and_says_what_each_argument_is(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.build_parser().parse_args([*arguments, "--help"])
    assert caught.value.code == 0
    assert "example: python -m vae2ch reconstruct outputs/RUN" in capsys.readouterr().out
    (commands_of,) = commands.build_parser()._subparsers._group_actions
    assert all(action.help for action in commands_of.choices["reconstruct"]._actions)
