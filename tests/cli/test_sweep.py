import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest

import train
from tests.helpers import QUICK, ROOT, compose
from tests.torture import weights, write_sounds
from vae2ch.cli import hydra_app, sweep
from vae2ch.cli.record import FINISHED, RunRecord
from vae2ch.errors import InputError

COMMAND = ["-m", "latent_dim=3,4", "preset=light,heavy", "minutes=2", "name=mine"]


def test_keys_with_several_values_are_swept():
    assert sweep.swept_keys([*COMMAND, "seed=range(3)", 'data.root="/a, b"']) == {"latent_dim", "preset", "seed"}


@pytest.mark.parametrize(
    ("overrides", "swept", "name"),
    [
        (["latent_dim=3", "preset=heavy", "minutes=2"], {"latent_dim", "preset"}, "latent_dim=3,preset=heavy"),
        (["minutes=2"], set(), "run"),
        (["training.learning_rate=1e-3"], {"training.learning_rate"}, "training.learning_rate=1e-3"),
    ],
)
def test_a_run_is_named_by_what_differs(overrides, swept, name):
    assert sweep.run_name(overrides, swept) == name


def test_names_lead_nowhere_and_differ():
    values = ["/a/b", "/a-b", "../x", "/" + "long" * 100, "/" + "long" * 101]
    names = [sweep.run_name([f"data.root={value}"], ["data.root"]) for value in values]
    assert len(set(names)) == len(values)
    assert all("/" not in name and len(name.encode()) < 200 for name in names)


@pytest.fixture
def finished(tmp_path):
    """Two finished runs and one that was begun."""
    for name, loss in (("latent_dim=3", 0.5), ("latent_dim=4", 0.25)):
        (tmp_path / name).mkdir()
        scores = {"val/loss": loss, "test/log_spectral_distance": 5.0}
        RunRecord(asdict(compose()), state=FINISHED, scores=scores).write(tmp_path / name)
        (tmp_path / name / ".hydra").mkdir()
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(f"- {name}\n- 'data.root=\"/a, b\"'\n- name=mine\n")
    (tmp_path / "latent_dim=5").mkdir()
    RunRecord(asdict(compose())).write(tmp_path / "latent_dim=5")
    return tmp_path


def test_the_table_has_the_best_run_first_and_its_command(finished):
    lines = sweep.table(finished, {"latent_dim=5": "no sound"}).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "latent_dim=4", "latent_dim=3", "Best", "Failed"]
    assert """python train.py latent_dim=4 'data.root="/a, b"'   (it is in """ in lines[3]
    assert lines[4] == "Failed    latent_dim=5: no sound"


def test_a_finished_run_is_skipped_and_other_settings_are_refused(finished, capsys):
    config = compose()
    assert sweep.run_or_resume(config, finished / "latent_dim=3") == 0.5
    assert "is finished, and skipped" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"begun with other settings \(seed: 0 -> 1\); give the sweep another name="):
        sweep.run_or_resume(compose("seed=1"), finished / "latent_dim=3")


# -- commands -----------------------------------------------------------------------------------------------------


def arguments(place, name):
    quick = [*QUICK, "trainer.max_epochs=2", "trainer.limit_test_batches=1", "save_minutes=0.002", "media.sounds=1"]
    swept = ["latent_dim=3", "preset=light,heavy"]
    sounds = ["data=folder", f"data.root={place / 'sounds'}"]
    return ["-m", *swept, *sounds, *quick, f"name={name}"]


def start(place, name):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments(place, name)],
        cwd=place,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_in_second_run(place, name):
    """Start a sweep, and kill it in the training of its second run."""
    with start(place, name) as process:
        validations = 0
        for line in process.stdout:
            validations += "validation: " in line
            if validations == 3:  # two of the first run
                os.killpg(process.pid, signal.SIGKILL)
                return


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_like_one_that_was_not(tmp_path, monkeypatch, capfd):
    (tmp_path / "sounds").mkdir()
    write_sounds(tmp_path / "sounds")
    outputs = {}
    kill_in_second_run(tmp_path, "killed")
    monkeypatch.chdir(tmp_path)
    for name in ("killed", "whole"):  # in this process, which is faster
        hydra_app.main(train.train, arguments(tmp_path, name))
        outputs[name] = capfd.readouterr().out
    multirun = tmp_path / "outputs" / "multirun"
    names = sorted(path.name for path in (multirun / "whole").iterdir() if path.is_dir())
    assert names == ["preset=heavy", "preset=light"]
    assert sorted(path.name for path in (multirun / "killed").iterdir() if path.is_dir()) == names
    assert "is finished, and skipped" in outputs["killed"]
    assert "Resuming " in outputs["killed"]
    tables = {name: text[text.index("\nrun ") :].replace(f"/{name}/", "/NAME/") for name, text in outputs.items()}
    assert tables["killed"] == tables["whole"]
    for run in names:
        records = [json.loads((multirun / name / run / "run.json").read_text()) for name in ("killed", "whole")]
        assert records[0]["scores"] == records[1]["scores"]
        checkpoints = [multirun / name / run / "checkpoints" / "best.ckpt" for name in ("killed", "whole")]
        assert weights(checkpoints[0]) == weights(checkpoints[1])
