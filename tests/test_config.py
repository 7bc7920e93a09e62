import pytest
from hydra import compose, initialize_config_dir

from tests.conftest import ROOT
from vae2ch import commandline, config
from vae2ch.model import VAE
from vae2ch.refusal import Refusal
from vae2ch.representation import Representation
from vae2ch.run import build_trainer
from vae2ch.training import VAEModule

CONF = ROOT / "conf"
OPTIONS = [f"{path.parent.name}={path.stem}" for path in sorted(CONF.glob("*/*.yaml")) if path.parent.name != "hydra"]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    commandline.register()


def settings(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config.check(compose("config", [*overrides, "name=x"]))


def test_options_were_found():
    assert {option.partition("=")[0] for option in OPTIONS} == {
        "data", "representation", "model", "preset", "trainer", "experiment",
    }  # fmt: skip
    assert len(OPTIONS) >= 15


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_builds(option, tmp_path):
    root = [] if option == "data=notes" or not option.startswith("data=") else [f"data.root={tmp_path}"]
    made = settings(option, *root)
    representation = Representation(**made["representation"])
    VAE(**representation.size._asdict(), **made["model"])
    VAEModule(**{name: made[name] for name in ("model", "representation", "training", "seed")})
    if option == "trainer=gpu":
        with pytest.raises(Refusal, match="trainer"):
            build_trainer(made, tmp_path)
    else:
        assert build_trainer(made, tmp_path).max_epochs == made["trainer"]["max_epochs"]


def test_latent_dim_at_the_root_reaches_the_model():
    assert settings("latent_dim=100")["model"]["latent_dim"] == 100
    assert settings()["latent_dim"] == settings()["model"]["latent_dim"] == 128


def test_presets_differ_in_strength():
    strengths = [settings(f"preset={name}") for name in ("light", "medium", "heavy")]
    for group, key in (
        ("augment", "speed"),
        ("training", "weight_decay"),
        ("augment", "shift"),
        ("augment", "gain_db"),
    ):
        values = [made[group][key] for made in strengths]
        assert values == sorted(values), (group, key)
        assert values[0] < values[-1], (group, key)


def test_the_command_line_wins_over_a_preset():
    assert settings("preset=heavy", "model.dropout=0.05")["model"]["dropout"] == 0.05


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("latent_dim=0", ("latent_dim=0", "1 to 65536")),
        ("model.dropout=1.5", ("model.dropout=1.5", "0.0 to 0.95")),
        ("training.learning_rate=nan", ("training.learning_rate", "out of range")),
        ("trainer.precision=8-bit", ("trainer.precision", "bf16-mixed")),
        ("data.batch_size=1", ("data.batch_size=1", "at least 2")),
        ("+sead=3", ("sead", "did you mean seed?")),
        ("data=folder", ("data.root", "data.root=DIR")),
    ],
)
def test_ranges_name_key_value_and_what_is_allowed(override, words):
    with pytest.raises(Refusal) as caught:
        settings(override)
    for word in words:
        assert word in str(caught.value)


def test_run_folders_never_collide(tmp_path):
    commandline.run_folder.cache_clear()
    first = commandline.run_folder(str(tmp_path), "a")
    assert commandline.run_folder(str(tmp_path), "a") == first
    commandline.run_folder.cache_clear()
    assert commandline.run_folder(str(tmp_path), "a") == f"{first}-2"


def test_a_dangling_outputs_link_is_refused(tmp_path):
    (tmp_path / "outputs").symlink_to(tmp_path / "unmounted" / "disk")
    with pytest.raises(Refusal, match="cannot write to"):
        commandline.run_folder(str(tmp_path / "outputs"), "a")


def test_only_a_run_that_never_began_is_tidied_away(tmp_path):
    for place, extra in (("empty", None), ("precious", "thesis.txt"), ("begun", "metrics.csv")):
        (tmp_path / place / ".hydra").mkdir(parents=True)
        (tmp_path / place / ".hydra" / "config.yaml").touch()
        if extra:
            (tmp_path / place / extra).touch()
        commandline.tidy(tmp_path / place)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == [
        "begun/.hydra/config.yaml",
        "begun/metrics.csv",
        "precious/.hydra/config.yaml",
        "precious/thesis.txt",
    ]
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-x", "a b"])
def test_names_stay_below_outputs(name, tmp_path):
    with pytest.raises(Refusal, match="name="):
        commandline.run_folder(str(tmp_path), name)
    assert list(tmp_path.iterdir()) == []
