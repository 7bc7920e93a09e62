import csv
import math
import os
import signal
import subprocess
import sys
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import QUICK, ROOT, python, refused
from vae2ch.callbacks import Rescue
from vae2ch.inference import load
from vae2ch.run import interruptible

TRAIN = ROOT / "train.py"


def events(run):
    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "audio": 0, "images": 0})
    found.Reload()
    return found


def test_a_run_is_complete(trained):
    run, done = trained
    files = ".hydra/overrides.yaml checkpoints/best.ckpt checkpoints/last.ckpt metrics.csv report.html sounds.csv"
    for name in files.split():
        assert (run / name).is_file(), name
    kinds = {path.stem.rsplit("-", 1)[-1] for path in (run / "audio").glob("*.wav")}
    assert {"original", "ceiling", "reconstruction", "sample"} <= kinds
    assert "9 files" in done.stdout
    assert "empty (0 bytes)" in done.stdout
    assert str(run.name) in done.stdout
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert "collapse" not in done.stdout


def test_the_ceiling_on_disk_is_the_original(trained):
    from vae2ch import audio
    from vae2ch.metrics import snr

    run, _ = trained
    originals = list((run / "audio").glob("*-original.wav"))
    assert originals
    for path in originals:
        pair = [
            torch.from_numpy(audio.decode(path.with_name(path.name.replace("original", kind)))[0])
            for kind in ("original", "ceiling")
        ]
        assert snr(*pair) > 90


def test_tensorboard_has_terms_sounds_pictures_and_hparams(trained):
    run, _ = trained
    found = events(run)
    scalars = set(found.Tags()["scalars"])
    wanted = {f"{stage}/{term}" for stage in ("train", "val") for term in ("loss", "magnitude", "frequency", "kl")}
    assert wanted <= scalars
    assert {"train/active_units", "train/kl_weight", "train/learning_rate"} <= scalars
    assert any(name.startswith("test/") for name in scalars)
    assert "val/kl_per_latent" in found.Tags()["histograms"]
    audio = found.Tags()["audio"]
    heard = {}
    for tag in audio:
        label, version = tag.rsplit("/", 1)
        heard.setdefault(label, set()).add(version)
    assert heard.pop("drawn") == {"sample"}
    assert heard
    assert all(versions == {"original", "ceiling", "reconstruction", "sample"} for versions in heard.values())
    assert all(len(found.Audio(tag)) == 3 for tag in audio)  # before training, and after each epoch
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(f"<h2>{escape(label)}</h2>" in page for label in heard)  # what was followed is there as well
    assert found.Tags()["images"]
    assert (run / "projector_config.pbtxt").is_file()
    assert found.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name == "hparams"
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["val/loss"] for row in rows)


def test_the_checkpoint_holds_plain_data_alone(trained):
    run, _ = trained
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)

    def plain(value):
        if isinstance(value, dict):
            return all(plain(part) for part in value.values())
        return isinstance(value, (int, float, str, bool, list, type(None)))

    assert plain(checkpoint["hyper_parameters"])
    assert {"model", "representation", "training", "seed"} <= set(checkpoint["hyper_parameters"])


def test_equal_seeds_equal_weights(trained, folder, tmp_path):
    run, _ = trained
    done = python(TRAIN, "data=folder", f'data.root="{folder}"', "name=again", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = tmp_path / "outputs" / "again"
    pair = [load(place).state_dict() for place in (run, again)]
    for name, value in pair[0].items():
        assert torch.equal(value, pair[1][name]), name


def test_a_sweep_makes_complete_runs_and_goes_on_after_a_refused_one(folder, tmp_path):
    source = ("data=folder", f'data.root="{folder}"')
    done = python(TRAIN, "-m", "latent_dim=3,0,5", "preset=light", *source, *QUICK, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "latent_dim=0 is out of range" in done.stderr
    assert "Traceback" not in done.stderr
    (sweep,) = (tmp_path / "outputs" / "multirun").iterdir()
    runs = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert [run.name for run in runs] == ["0", "2"]
    for run, latent_dim in zip(runs, (3, 5), strict=True):
        assert load(run).vae.latent_dim == latent_dim
        assert (run / "report.html").is_file()
        scores = [tag for tag in events(run).Tags()["scalars"] if tag.startswith("test/")]
        assert scores
        assert all(math.isfinite(events(run).Scalars(tag)[-1].value) for tag in scores if tag != "test/snr")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["latent_dimm=3"], ["latent_dimm", "did you mean latent_dim?"]),
        (["trainer.max_epoch=3"], ["trainer.max_epoch", "did you mean trainer.max_epochs?"]),
        (["preset=hevy"], ["preset=hevy", "did you mean heavy?"]),
        (["experiment=nothing"], ["experiment=nothing", "overfit_batch"]),
        (["latent_dim=many"], ["latent_dim=many", "Integer"]),
        (["latent_dim=0"], ["latent_dim=0", "1 to 65536"]),
        (["latent_dim"], ["latent_dim", "key=value"]),
        (["data=folder"], ["data.root=DIR"]),
        (["data=folder", "data.root=nowhere"], ["nowhere does not exist"]),
        (["data=folder", "data.root=."], ["no sound file in ."]),
        (["data=folder", "data.root=~/sounds"], ["$HOME"]),
        (["data=folder", 'data.root="~nosuchuser/x"'], ["~nosuchuser/x", "no such user"]),
        (["data=null"], ["data=null", "name of one of its options"]),
        (["minutes=inf"], ["minutes=inf", "0.01 to"]),
        (["trainer.devices=abc"], ["trainer.devices=abc", "Integer"]),
        (["trainer.limit_val_batches=0"], ["trainer.limit_val_batches=0", "at least 1"]),
        (["representation.n_fft=1023"], ["n_fft must be even", "1023"]),
        (["hydra.run.dir=/proc/nope"], ["/proc/nope"]),
        (["--nonsense"], ["--nonsense"]),
        (["name=../../up"], ["name=../../up"]),
    ],
)
def test_refusals(arguments, words, tmp_path):
    refused(python(TRAIN, *arguments, cwd=tmp_path), *words)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "multirun.yaml"]
    assert left == []


def test_refuses_to_sweep_over_several_devices(tmp_path):
    done = python(TRAIN, "-m", "latent_dim=1,2", "trainer.devices=2", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("use trainer.devices=1") == 2
    assert "Traceback" not in done.stderr


def test_refuses_a_folder_where_nothing_decodes(tmp_path):
    for name in ("a.wav", "b.flac"):
        (tmp_path / name).write_text("no sound")
    refused(python(TRAIN, "data=folder", "data.root=.", cwd=tmp_path), "none of the 2", "a.wav: ", "b.flac: ")


def test_refuses_an_output_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "outputs").write_text("a file in its place")
    refused(python(TRAIN, "data=folder", "data.root=.", cwd=tmp_path), "cannot write to", "outputs")


@pytest.mark.parametrize("name", ["über (1)=x", "it's [here]", 'say "so"', "a b"])
def test_a_path_needs_no_quotes_of_its_own(name, tmp_path):
    refused(python(TRAIN, "data=folder", f"data.root={name}", cwd=tmp_path), f"{name} does not exist")


def test_an_interrupted_run_keeps_what_it_has_learnt(folder, tmp_path):
    endless = [setting for setting in QUICK if not setting.startswith("trainer")]
    sounds = ["data=folder", f"data.root={folder}", "data.workers=1"]
    command = [sys.executable, str(TRAIN), *sounds, "name=stopped", *endless]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def heed_interrupts():  # a shell that runs the tests in the background has its children ignore them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    alone = {"start_new_session": True, "preexec_fn": heed_interrupts}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **alone, **streams) as running:
        for line in running.stdout:
            if "first step" in line:
                os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to its workers too
                break
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert "vae2ch: interrupted; what was learnt is in outputs/stopped/checkpoints/last.ckpt" in errors
    kept = load(tmp_path / "outputs" / "stopped")
    assert kept.vae.latent_dim == 128
    assert kept.peaks.unique().numel() > 1  # what draws start from is of the same moment


def test_an_interrupted_test_keeps_the_checkpoints_of_the_training(tmp_path, capsys):
    last = tmp_path / "last.ckpt"
    testing = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.TESTING), global_step=5, save_checkpoint=Path.touch)
    Rescue(last).on_exception(testing, None, KeyboardInterrupt())
    assert not last.exists()
    with pytest.raises(SystemExit) as ended, interruptible(tmp_path):
        raise SystemExit(1)  # what Lightning makes of Ctrl-C, in the test as in training
    assert ended.value.code == 130
    assert "vae2ch: interrupted; " in capsys.readouterr().err


def test_help_lists_the_groups(tmp_path):
    done = python(TRAIN, "--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("preset: heavy, light, medium", "latent_dim: 128", "representation: 16k"):
        assert word in done.stdout
