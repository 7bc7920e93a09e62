"""``resume=``: what may be changed, what is refused, and the commands."""

import csv
import json
import shutil
from dataclasses import asdict, replace
from importlib import metadata

import pytest
import torch

from tests.helpers import QUICK, ROOT, compose, python
from tests.torture import table
from vae2ch import audio
from vae2ch.cli import hydra_app, start
from vae2ch.cli import run as running
from vae2ch.cli.hydra_errors import as_input_errors
from vae2ch.cli.record import RunRecord, read_record
from vae2ch.cli.resume import changed_config, flat, plan, refuse_exhausted, setting_changes
from vae2ch.cli.run_folder import locked
from vae2ch.codec import SoundCodec
from vae2ch.data import notes
from vae2ch.errors import InputError
from vae2ch.initial_weights import base_file as base_files
from vae2ch.initial_weights.base_file import Base, read_base, write_base


@pytest.fixture
def record():
    return RunRecord(asdict(compose("minutes=10", "latent_dim=16", "trainer.max_epochs=5")))


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("minutes=30", "minutes", 30.0),
        ("minutes=+20", "minutes", 30.0),
        ("minutes=+0.5", "minutes", 10.5),
        ("minutes=null", "minutes", None),
        ("trainer.max_epochs=+50", "trainer.max_epochs", 55),
        ("training.learning_rate=1e-3", "training.learning_rate", 1e-3),
        ("preset=heavy", "training.weight_decay", 2.0),
        ("preset=heavy", "augment.speed", 1.0),
        ("trainer=cpu", "trainer.accelerator", "cpu"),
        ('data.root="/moved/sounds"', "data.root", "/moved/sounds"),
        ("data.changed=accept", "data.changed", "accept"),
        ("latent_dim=16", "latent_dim", 16),  # as it is
    ],
)
def test_settings_that_can_be_changed(override, key, value, record):
    assert flat(asdict(changed_config(record, [override])))[key] == value


def test_other_settings_stay_those_of_the_run(record):
    changed = changed_config(record, ["minutes=+20"])
    assert list(setting_changes(flat(record.settings), flat(asdict(changed)))) == ["minutes: 10.0 -> 30.0"]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("latent_dim=32", ["latent_dim=32: it is 16", "the weights have this size", "start=RUN"]),
        ("model.dropout=0.5", ["architecture"]),
        ("representation=44k", ["representation.", "the weights belong to it"]),
        ("representation.hop=128", ["the weights belong to it"]),
        ("seed=1", ["the split and the order"]),
        ("data.test=0.5", ["the split and the order"]),
        ("data=folder", ["data.source=folder"]),
        ("name=b", ["folder has this name"]),
        ("start=random", ["weights have been trained since"]),
        ("data.batch_size=4", ["trainer.devices x data.batch_size is 4, and was 8"]),
        ("minuts=20", ["unknown setting minuts", "did you mean minutes?"]),
        ("minutes=soon", ["minutes=soon: expected float or null"]),
        ("minutes=+soon", ["minutes=+soon: expected a number"]),
        ("minutes=-1", ["out of range"]),
        ("preset=hevy", ["did you mean heavy?"]),
        ("-m", ["goes on with one run"]),
    ],
)
def test_settings_that_cannot_be_changed_are_refused_with_the_reason(override, parts, record):
    with pytest.raises(InputError) as caught, as_input_errors([override]):
        changed_config(record, [override])
    for part in parts:
        assert part in str(caught.value)


def test_time_cannot_be_added_to_a_run_without_a_limit():
    with pytest.raises(InputError, match=r"no such limit; try trainer\.max_epochs="):
        changed_config(RunRecord(asdict(compose("minutes=null"))), ["minutes=+5"])


def checkpoint_with(epochs, seconds):
    now = {"step": 1, "seconds": seconds}
    progress = {"current": {"processed": epochs}}
    return {"loops": {"fit_loop": {"epoch_progress": progress}}, "schedule": {"now": now}}


@pytest.mark.parametrize(
    ("overrides", "epochs", "seconds", "message"),
    [
        (["minutes=20"], 5, 600, r"had its 5 epochs; add more with trainer\.max_epochs=\+5"),
        (["trainer.max_epochs=50"], 5, 601, r"had its 10 minutes; add more with minutes=\+10"),
        (["minutes=20", "trainer.max_epochs=50"], 5, 601, None),
        (["minutes=null", "trainer.max_epochs=50"], 5, 601, None),
    ],
)
def test_raising_a_limit_that_did_not_end_the_run_is_refused(overrides, epochs, seconds, message, record):
    config = changed_config(record, overrides)
    if message is None:
        refuse_exhausted(config, checkpoint_with(epochs, seconds))
    else:
        with pytest.raises(InputError, match=message):
            refuse_exhausted(config, checkpoint_with(epochs, seconds))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"settings": {}}'])
def test_a_damaged_record_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        read_record(tmp_path)


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy of the finished run, in a place of its own."""
    folder, _ = trained
    place = tmp_path_factory.mktemp("resumed")
    shutil.copytree(folder, place / "outputs" / "first")
    return place / "outputs" / "first"


@pytest.mark.slow
def test_a_run_stores_what_is_needed_to_reproduce_it(trained):
    record = json.loads((trained[0] / "run.json").read_text())
    (session,) = record["sessions"]
    assert "name=first" in session["command"]
    assert session["versions"]["torch"] == metadata.version("torch")
    assert session["first_step"] == 0
    assert record["settings"]["seed"] == 0
    assert record["state"] == "finished"
    assert record["scores"]["test/loss"] > 0
    if (ROOT / ".git").exists():
        assert len(session["source"].split()[0]) == 40


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(run, monkeypatch, capsys):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.rglob("*"))
    monkeypatch.chdir(run.parents[1])
    hydra_app.main(None, ["resume=outputs/first"])
    message = capsys.readouterr().out
    assert "outputs/first is finished" in message
    assert "trainer.max_epochs=+20" in message
    assert sorted((path.name, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["resume=nowhere"], ["nowhere does not exist"]),
        (["resume=outputs"], ["has no run.json"]),
        (["resume=outputs/first", "latent_dim=3"], ["latent_dim=3: it is 128", "start="]),
        (["resume=outputs/first/checkpoints/best.ckpt", "minutes=+5"], ["no such limit"]),
        (["resume=outputs/first/checkpoints/best.ckpt", "trainer.max_epochs=+1"], ["no state of a training", "start="]),
    ],
)
def test_what_cannot_be_resumed_is_one_line(arguments, parts, run, refused):
    line = refused(run.parents[1], *arguments)
    assert [part for part in parts if part not in line] == []


@pytest.mark.slow
def test_a_finished_run_can_be_trained_on(run, monkeypatch, capsys):
    losses = [row["val/loss"] for row in table(run) if "val/loss" in row]
    monkeypatch.chdir(run.parents[1])
    hydra_app.main(None, ["resume=outputs/first", "trainer.max_epochs=+2"])
    assert "Resuming outputs/first at step 20\n  trainer.max_epochs: 2 -> 4" in capsys.readouterr().out
    rows = table(run)
    later = [row["val/loss"] for row in rows if "val/loss" in row]
    assert later[:2] == losses
    assert len(later) == 4
    assert min(later[2:]) < min(losses)
    assert [row["step"] for row in rows if "val/loss" in row] == [9, 19, 29, 39]
    assert [row["step"] for row in rows if "test/loss" in row] == [40]
    rates = {row["step"]: row["train/learning_rate"] for row in rows if "train/learning_rate" in row}
    assert rates[39] < rates[29]
    record = read_record(run)
    assert [session["first_step"] for session in record.sessions] == [0, 20]
    assert record.settings["trainer"]["max_epochs"] == 4
    assert record.sessions[1]["extended"]


@pytest.mark.slow
def test_an_extension_that_ended_before_its_first_save_is_still_one(trained, tmp_path):
    run = tmp_path / "outputs" / "first"
    shutil.copytree(trained[0], run)
    record = read_record(run)
    record.settings["trainer"]["max_epochs"] = 5
    record.sessions.append(record.sessions[0] | {"first_step": 20, "extended": True})
    replace(record, state="training").write(run)
    resumed, _ = plan(run, [])
    assert resumed.extended
    assert resumed.changes == []
    record.sessions[-1]["extended"] = False
    replace(record, state="training").write(run)
    assert not plan(run, [])[0].extended


@pytest.mark.slow
def test_changed_sounds_are_noticed(folder, trained, tmp_path, monkeypatch, capsys, refused):
    sounds, run = tmp_path / "sounds", tmp_path / "outputs" / "first"
    shutil.copytree(folder, sounds)
    shutil.copytree(trained[0], run)
    more = ("resume=outputs/first", "trainer.max_epochs=+1", f"data.root={sounds}", "data.cache=null")
    wave = notes.render("bell", 60, "mf", seed=3)[: notes.SAMPLE_RATE]
    audio.write(sounds / "new.wav", wave, notes.SAMPLE_RATE)
    (held_out,) = {name for name, row in read_splits(run).items() if row["split"] == "test"} - {"copy.wav"}
    (gone,) = sorted(name for name, row in read_splits(run).items() if row["split"] == "train")[:1]
    (sounds / gone).unlink()
    before, metrics = read_splits(run), (run / "metrics.csv").read_text()
    line = refused(tmp_path, *more)
    for part in ("added new.wav", f"removed {gone}", "start=outputs/first", "data.changed=accept"):
        assert part in line
    assert (run / "metrics.csv").read_text() == metrics
    assert read_record(run).state == "finished"
    hydra_app.main(None, [*more, "data.changed=accept"])
    after = read_splits(run)
    assert after.keys() - before.keys() == {"new.wav"}
    assert all(after[name]["split"] == row["split"] for name, row in before.items() if name != gone)
    assert after[held_out]["split"] == "test"


def read_splits(run):
    with (run / "sounds.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file) if row["split"] != "refused"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["start=nowhere"], ["start=nowhere", "pca, random"]),
        (["start=outputs/first", "representation.hop=32"], ["representation.hop=64, this run 32"]),
    ],
)
def test_a_start_that_does_not_fit_is_refused(arguments, parts, run, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    _, module = running.build(compose(*QUICK, *arguments))
    with pytest.raises(InputError) as caught:
        start.read_start(arguments[0].partition("=")[2], module.codec.config)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.slow
def test_a_run_can_start_with_the_weights_of_another(run, folder, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    data, module = running.build(compose(*QUICK, "data.cache=null"))
    start.initialise(module, data, start.read_start("outputs/first", module.codec.config))
    other = SoundCodec.load(run)
    assert all(map(torch.equal, module.codec.vae.parameters(), other.vae.parameters()))
    assert int(module.codec.latents.segments) == 0  # the distribution is that of the new sounds


@pytest.mark.slow
def test_a_run_may_be_named_like_the_file_of_a_base_model(run, tmp_path):
    (tmp_path / "my.base").symlink_to(run)
    _, module = running.build(compose(*QUICK))
    assert start.read_start(f"{tmp_path}/my.base", module.codec.config).name == f"{tmp_path}/my.base"


@pytest.fixture(scope="module")
def base_file(run):
    """The model of the run as a base model."""
    codec, path = SoundCodec.load(run), run.parent / "first.base"
    about = {"date": "today"}
    write_base(path, Base(codec.vae, codec.config.representation, codec.config.kl_weight, 8, "first", about))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("latent_dim", [3, 140])
@pytest.mark.parametrize("model", ["outputs/first", "outputs/first.base"])
def test_a_run_can_start_from_a_model_with_more_or_fewer_latents(latent_dim, model, run, base_file, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    data, module = running.build(compose(*QUICK, "data.cache=null", f"latent_dim={latent_dim}"))
    data.setup()
    start.initialise(module, data, start.read_start(model, module.codec.config))
    other = SoundCodec.load(run)
    layers = zip(module.codec.vae.encoder.layers.parameters(), other.vae.encoder.layers.parameters(), strict=True)
    assert all(torch.allclose(*pair, atol=0.01) for pair in layers)
    posterior = module.codec.vae.encode(data.analyse(next(iter(data.test_dataloader()))).spectrogram)
    assert posterior.mean.shape[1] == latent_dim
    assert torch.isfinite(posterior.mean).all()
    assert posterior.mean.abs().max() < 20


@pytest.mark.slow
def test_a_run_with_the_latents_of_the_core_has_copies_of_them(run, base_file, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    data, module = running.build(compose(*QUICK, "data.cache=null", "latent_dim=8"))
    start.initialise(module, data, start.read_start("outputs/first.base", module.codec.config))
    other = read_base(base_file).vae
    assert torch.equal(module.codec.vae.encoder.latent.weight[:8], other.encoder.latent.weight[:8])
    assert torch.equal(module.codec.vae.decoder.latent.weight, other.decoder.latent.weight[:, :8])


@pytest.mark.slow
def test_the_default_start_is_the_base_that_comes_along_or_else_pca(run, folder, base_file, monkeypatch):
    monkeypatch.setattr(base_files, "SHIPPED", base_file.parent)
    other = read_base(base_file).vae
    for setting, words in (
        ("representation.sample_rate=22050", "first of today ("),
        ("representation.hop=100", "pca, as there is no base model for this representation"),
    ):
        data, module = running.build(compose(*QUICK, "data.cache=null", "latent_dim=5", setting))
        data.setup()
        start.initialise(module, data, start.read_start("base", module.codec.config))
        assert module.start.startswith(words)
        pairs = zip(module.codec.vae.encoder.layers.parameters(), other.encoder.layers.parameters(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs) == bool(module.start.startswith("first"))


def test_a_random_start_leaves_the_weights(folder):
    data, module = running.build(compose(*QUICK))
    before = [weight.clone() for weight in module.codec.vae.parameters()]
    start.initialise(module, data, start.read_start("random", module.codec.config))
    assert all(map(torch.equal, before, module.codec.vae.parameters()))


@pytest.mark.slow
def test_two_runs_in_one_folder_are_refused(run):
    code = f"from vae2ch.cli.run_folder import locked\nfrom pathlib import Path\nwith locked(Path({str(run)!r})): pass"
    with locked(run):
        done = python("-c", code)
    assert f"FolderInUseError: {run} is in use by another process" in done.stderr
    assert python("-c", code).returncode == 0
