"""Settings: what ``conf/`` composes to, their types, their ranges, and the messages about wrong ones."""

import functools
import math
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass, replace
from typing import get_args

import pytest

from tests.helpers import ROOT, compose
from vae2ch import config
from vae2ch.cli import hardware, run
from vae2ch.cli.trainer import build_trainer
from vae2ch.config import RunConfig, from_mapping
from vae2ch.errors import InputError

OPTIONS = [f"{path.parent.name}={path.stem}" for path in sorted((ROOT / "conf").glob("*/*.yaml"))]
OTHER_DEVICES = {"trainer=gpu", "trainer=mps"}


def leaves(schema, prefix=()):
    """Path and field of each setting of a dataclass and of the dataclasses in it."""
    for item in fields(schema):
        if is_dataclass(item.type):
            yield from leaves(item.type, (*prefix, item.name))
        else:
            yield (*prefix, item.name), item


LEAVES = dict(leaves(RunConfig))
RANGED = {path: item.metadata for path, item in LEAVES.items() if item.metadata.get("low") is not None}


defaults = functools.cache(compose)


def changed(path, value):
    """The default settings as a mapping, with one value replaced."""
    values = group = asdict(defaults())
    for name in path[:-1]:
        group = group[name]
    group[path[-1]] = value
    return values


def test_each_group_has_options():
    groups = {option.partition("=")[0] for option in OPTIONS}
    assert groups == {"data", "representation", "model", "preset", "trainer", "experiment"}
    assert set(OPTIONS) >= OTHER_DEVICES


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_builds(option, tmp_path):
    root = [f"data.root={tmp_path}"] if option in ("data=folder", "data=nsynth") else []
    made = hardware.resolve(compose(option, *root))
    data, module = run.build(made)
    bins, frames = data.representation.size
    assert bins <= module.codec.vae.size[0] < bins + 32
    assert frames <= module.codec.vae.size[1] < frames + 32
    if option in OTHER_DEVICES:
        with pytest.raises(InputError, match="trainer: "):
            build_trainer(made, tmp_path)
    else:
        trainer = build_trainer(made, tmp_path)
        assert trainer.max_epochs == made.trainer.max_epochs
        assert trainer.num_devices == made.trainer.devices


def test_every_setting_has_the_type_that_its_dataclass_states():
    found = compose("minutes=3", "training.learning_rate=1")
    for path, item in LEAVES.items():
        value = found
        for name in path:
            assert is_dataclass(value)
            value = getattr(value, name)
        assert type(value) in (get_args(item.type) or (item.type,)), (path, value)
    assert type(found.minutes) is float
    assert type(found.training.learning_rate) is float


def test_every_setting_has_its_value_in_conf_only():
    assert [path for path, item in LEAVES.items() if item.default is not MISSING] == []


@pytest.mark.parametrize("path", RANGED, ids=".".join)
def test_values_out_of_range_are_rejected(path):
    low, high = RANGED[path]["low"], RANGED[path]["high"]
    key = ".".join(path)
    from_mapping(RunConfig, changed(path, low))
    outside = [low - 1] if high is None else [low - 1, high + 1]
    for value in outside:
        with pytest.raises(InputError) as caught:
            from_mapping(RunConfig, changed(path, value))
        allowed = f"at least {low}" if high is None else f"{low} to {high}"
        assert str(caught.value) == f"{key}={type(low)(value)} is out of range; allowed: {allowed}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("seed",), True, "seed=True: expected int"),
        (("seed",), 1.5, "seed=1.5: expected int"),
        (("seed",), None, "seed=None: expected int"),
        (("name",), 3, "name=3: expected str"),
        (("minutes",), "3", "minutes=3: expected float or null"),
        (("minutes",), math.nan, "minutes=nan is out of range; allowed: 0.01 to 1000000.0"),
        (("training", "kl_weight"), math.nan, "training.kl_weight=nan is out of range; allowed: 0.0 to 1000000.0"),
        (("data",), 3, "data=3: expected "),
        (("data", "sead"), 3, "unknown setting data.sead; allowed: source, root, "),
        (("sead",), 3, "unknown setting sead; did you mean seed? allowed: latent_dim, minutes, seed, "),
        (("trainer", "precision"), "bf16", "trainer.precision=bf16: did you mean bf16-mixed? allowed: auto, 32-true, "),
    ],
)
def test_messages_name_the_key_the_value_and_what_is_allowed(path, value, message):
    with pytest.raises(InputError) as caught:
        from_mapping(RunConfig, changed(path, value))
    assert str(caught.value).startswith(message)


def test_a_missing_setting_is_named():
    values = asdict(compose())
    del values["training"]["patience"]
    with pytest.raises(InputError, match=r"^training\.patience is not set$"):
        from_mapping(RunConfig, values)


def test_a_mapping_of_a_configuration_gives_the_same_configuration():
    made = compose("latent_dim=5", "data.limit=3")
    assert from_mapping(RunConfig, asdict(made)) == made


def test_keys_are_those_of_all_groups():
    @dataclass
    class Inner:
        b: int

    @dataclass
    class Outer:
        a: int
        inner: Inner

    assert list(config.keys(Outer)) == ["a", "inner", "inner.b"]


def test_latent_dim_at_the_root_is_that_of_the_model():
    assert compose("latent_dim=100").model.latent_dim == 100
    assert compose().latent_dim == compose().model.latent_dim == 128


@pytest.mark.parametrize(
    ("group", "name"),
    [("augment", "speed"), ("augment", "shift"), ("augment", "gain_db"), ("training", "weight_decay")],
)
def test_presets_differ_in_strength(group, name):
    values = [getattr(getattr(compose(f"preset={preset}"), group), name) for preset in ("light", "medium", "heavy")]
    assert values == sorted(values)
    assert values[0] < values[-1]


@pytest.mark.parametrize("overrides", [("preset=heavy", "augment.speed=0.25"), ("augment.speed=0.25", "preset=heavy")])
def test_the_command_line_has_precedence_over_a_preset(overrides):
    heavy = compose("preset=heavy")
    assert heavy.augment.speed != 0.25
    assert compose(*overrides) == replace(heavy, augment=replace(heavy.augment, speed=0.25))


def test_an_experiment_has_precedence_over_a_preset():
    assert compose("preset=heavy").augment.speed > 0
    found = compose("experiment=overfit_batch", "preset=heavy")
    assert found.augment.speed == 0
    assert found.preset == "heavy"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.validation=0.5", "data.test=0.5"],
            r"^data\.validation=0\.5 and data\.test=0\.5 leave nothing for training",
        ),
        (["data.limit=3"], r"^data\.limit=3 is for data=nsynth"),
        (["representation.n_fft=255"], r"^representation\.n_fft must be even .* found 255 and 256"),
        (["representation.hop=600"], r"representation\.hop at most half of it: found 1022 and 600"),
        (["training.kl_weight=inf"], r"^training\.kl_weight=inf is out of range"),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_sounds_are_read(overrides, message):
    with pytest.raises(InputError, match=message):
        run.build(compose(*overrides))


@pytest.mark.parametrize("source", ["folder", "nsynth"])
def test_a_collection_of_files_needs_its_folder(source):
    with pytest.raises(InputError, match=r"^data\.root is not set; .*data\.root=DIR"):
        compose(f"data={source}")
