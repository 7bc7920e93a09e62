"""Complete runs of ``train.py``."""

import csv
import math
import os
import signal
import subprocess
import sys
from html import escape

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from tests.helpers import QUICK, ROOT, assert_one_line_error, python
from vae2ch import audio
from vae2ch.codec import SoundCodec
from vae2ch.metrics import snr

TRAIN = ROOT / "train.py"
STEPS = [10, 20]  # of TensorBoard's sounds: after each epoch
VERSIONS = {"original", "ceiling", "reconstruction", "variation"}

pytestmark = pytest.mark.slow


def events_of(run):
    found = EventAccumulator(str(run), size_guidance={"scalars": 0, "audio": 0, "images": 0})
    found.Reload()
    return found


@pytest.fixture(scope="module")
def events(trained):
    return events_of(trained[0])


def test_a_run_writes_all_its_files(trained):
    run, _ = trained
    files = ".hydra/overrides.yaml checkpoints/best.ckpt checkpoints/last.ckpt metrics.csv report.html sounds.csv"
    assert [name for name in files.split() if not (run / name).is_file()] == []
    stems = [path.stem for path in (run / "audio").glob("*.wav")]
    assert {stem.rpartition("-")[2] for stem in stems if not stem.startswith("sample")} == VERSIONS
    assert sorted(stem for stem in stems if stem.startswith("sample")) == ["sample-01", "sample-02"]


def test_all_sounds_of_a_run_are_marked_as_its_output(trained):
    written = list(trained[0].rglob("*.wav"))
    assert written
    assert all(map(audio.is_result, written))


def test_a_run_prints_its_sounds_and_its_folder_and_no_warning(trained):
    run, done = trained
    for part in ("9 files", "empty (0 bytes)", f"outputs/{run.name}/report.html", "raw_pitch_accuracy"):
        assert part in done.stdout
    assert "collapse" not in done.stdout
    for part in ("Traceback", "Warning", "warn"):
        assert part not in done.stderr


def test_the_list_of_sounds_has_every_file(trained, folder):
    with (trained[0] / "sounds.csv").open(newline="", encoding="utf-8") as file:
        text = file.read()
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 12
    assert [name for name in files if name not in text] == []


def test_the_ceiling_on_disk_is_the_original(trained):
    originals = list((trained[0] / "audio").glob("*-original.wav"))
    assert originals
    for path in originals:
        ceiling = path.with_name(path.name.replace("-original.wav", "-ceiling.wav"))
        pair = [torch.from_numpy(audio.decode(file)[0]) for file in (path, ceiling)]
        assert snr(*pair) > 90, path


def test_tensorboard_has_the_terms_of_the_loss_and_finite_test_scores(events):
    scalars = set(events.Tags()["scalars"])
    terms = ("loss", "magnitude", "amplitude", "frequency", "kl")
    assert {f"{stage}/{term}" for stage in ("train", "val", "test") for term in terms} <= scalars
    assert {"train/active_units", "train/kl_weight", "train/learning_rate", "train/gradient_norm"} <= scalars
    scores = {tag: events.Scalars(tag)[-1].value for tag in scalars if tag.startswith("test/")}
    assert {"test/snr", "test/log_spectral_distance", "test/multi_resolution_stft"} <= scores.keys()
    assert [tag for tag, value in scores.items() if not math.isfinite(value)] == []
    assert "val/kl_per_latent" in events.Tags()["histograms"]


def test_tensorboard_has_the_same_sounds_after_each_epoch(events, trained):
    versions = {}
    for tag in events.Tags()["audio"]:
        label, _, version = tag.rpartition("/")
        versions.setdefault(label, set()).add(version)
        assert sorted(event.step for event in events.Audio(tag)) == STEPS, tag
    assert versions.pop("new sounds") == {"sample"}
    assert len(versions) == 2
    assert all(found == VERSIONS for found in versions.values())
    assert set(events.Tags()["images"]) == versions.keys()
    page = (trained[0] / "report.html").read_text(encoding="utf-8")
    assert [label for label in versions if f"<h2>{escape(label)}</h2>" not in page] == []


def test_tensorboard_has_projector_and_hparams(events, trained):
    config = text_format.Parse((trained[0] / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    names, *rows = (trained[0] / embedding.metadata_path).read_text(encoding="utf-8").splitlines()
    assert names.split("\t") == ["file", "split"]
    assert {row.split("\t")[1] for row in rows} == {"train", "validation"}
    assert np.loadtxt(trained[0] / embedding.tensor_path, delimiter="\t").shape == (len(rows), 128)
    assert not (trained[0] / "hparams.yaml").exists()
    assert events.SummaryMetadata("_hparams_/session_start_info").plugin_data.plugin_name == "hparams"


def test_metrics_csv_has_a_validation_loss_for_each_epoch(trained):
    with (trained[0] / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_describes_its_codec_in_plain_data(trained, name):
    checkpoint = torch.load(trained[0] / "checkpoints" / f"{name}.ckpt", weights_only=True)

    def is_plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_plain(part) for key, part in value.items())
        return type(value) in (int, float, str, bool)

    assert is_plain(checkpoint["vae2ch"])
    assert checkpoint["vae2ch"]["format"] == 7
    assert checkpoint["vae2ch"]["config"]["representation"]["n_fft"] == 254
    assert all(key.startswith("codec.") for key in checkpoint["state_dict"])


def test_the_best_checkpoint_has_the_lowest_validation_loss(trained):
    with (trained[0] / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    best = min(rows, key=lambda row: float(row["val/loss"]))
    checkpoint = torch.load(trained[0] / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["global_step"] == int(best["step"]) + 1


def test_a_trained_model_reconstructs_by_the_command(trained, folder, tmp_path):
    done = python("-m", "vae2ch", "reconstruct", trained[0], folder / "copy.wav", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 files written to out at 16000 Hz" in done.stdout
    written, original = (audio.load(root / "copy.wav", 16000) for root in (tmp_path / "out", folder))
    assert written.shape == original.shape
    assert abs(written).max() > 0.1 * abs(original).max()


@pytest.fixture(scope="module")
def sweep(folder, tmp_path_factory):
    """Runs with 0 and 128 latents, the second with the settings of ``trained``, and the finished process."""
    place = tmp_path_factory.mktemp("sweep")
    sounds = ("data=folder", f'data.root="{folder}"')  # quoted, as the name has a comma
    done = python(TRAIN, "-m", "latent_dim=0,128", *sounds, *QUICK, cwd=place)
    (root,) = (place / "outputs" / "multirun").iterdir()
    return root, done


def test_a_sweep_continues_after_a_run_that_is_rejected(sweep):
    root, done = sweep
    assert done.returncode == 1
    assert "vae2ch: latent_dim=0: latent_dim=0 is out of range" in done.stderr
    assert "Failed    latent_dim=0: latent_dim=0 is out of range" in done.stdout
    assert "Best      python train.py latent_dim=128 " in done.stdout
    assert "Traceback" not in done.stderr
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["latent_dim=128"]
    run = root / "latent_dim=128"
    assert (run / "report.html").is_file()
    assert "test/loss" in events_of(run).Tags()["scalars"]


def test_equal_settings_and_seeds_give_equal_weights(sweep, trained):
    first, second = (SoundCodec.load(run).state_dict() for run in (trained[0], sweep[0] / "latent_dim=128"))
    assert first.keys() == second.keys()
    assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []


def test_an_error_in_the_sounds_is_one_line_and_leaves_no_files(tmp_path):
    root = 'über "(1)"=x, [a]'
    done = python(TRAIN, "data=folder", f"data.root={root}", cwd=tmp_path)
    assert_one_line_error(done, f"{root} does not exist; give a folder of sound files")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_interrupted_run_keeps_the_trained_model(folder, tmp_path):
    endless = [setting for setting in QUICK if not setting.startswith("trainer")]
    command = [sys.executable, TRAIN, "data=folder", f"data.root={folder}", "data.workers=1", "name=stopped", *endless]

    def default_interrupts():  # a shell that runs the tests in the background has its children ignore them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        list(map(str, command)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
        preexec_fn=default_interrupts,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        for line in running.stdout:
            if "first step" in line:
                os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to its workers too
                break
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert "vae2ch: interrupted (SIGINT); step " in errors
    assert " is saved; go on with python train.py resume=outputs/stopped" in errors
    codec = SoundCodec.load(tmp_path / "outputs" / "stopped")
    assert codec.vae.latent_dim == 128
    assert int(codec.latents.segments) > 0
    assert codec.latents.peaks.unique().numel() > 1  # latents of the same moment are in it
