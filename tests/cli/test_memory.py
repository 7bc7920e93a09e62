"""Estimates of the memory that a run needs, and the refusal of what does not fit."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tests.helpers import QUICK, compose
from vae2ch.cli import hardware, memory, run
from vae2ch.cli.memory import available_memory, check, needed, with_value
from vae2ch.data import Batch
from vae2ch.errors import InputError
from vae2ch.model import padded_length
from vae2ch.training.optimiser import build_optimiser
from vae2ch.training.terms import batch_terms

GB = 10**9


def config(*overrides):
    return hardware.resolve(compose("trainer.precision=32-true", "start=random", *overrides))


def size(*tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def test_the_estimate_has_the_tensors_of_a_step():
    made = config(*QUICK, "latent_dim=300", "data.batch_size=6")
    data, module = run.build(made)
    vae, batch, saved = module.codec.vae, made.data.batch_size, {}
    optimiser = build_optimiser(vae, made.training)
    spectrogram = torch.rand(batch, 2, *map(padded_length, data.representation.size))
    item = Batch(spectrogram, *4 * (torch.zeros(batch),))

    def note(part):
        saved[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
        return part

    with saved_tensors_hooks(note, lambda part: part):
        terms, _ = module.forward_terms(item, torch.randn(batch, 300))
    batch_terms(terms, made.training, 1e-6)["loss"].backward()
    optimiser.step()
    weights = list(vae.parameters())
    moments = [state[name] for state in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq")]
    parameters = memory.count_parameters(made)
    assert parameters == sum(weight.numel() for weight in weights)
    kept = [*weights, *moments, *(weight for group in optimiser.param_groups for weight in group["initial_weights"])]
    assert size(*kept, *(weight.grad for weight in weights)) == 20 * parameters
    assert size(*kept) == memory.CHECKPOINT_BYTES * parameters
    assert size(module.codec.latents.covariance) == memory.COVARIANCE_BYTES * 300**2
    of_weights = {weight.untyped_storage().data_ptr() for weight in weights}
    activations = sum(count for pointer, count in saved.items() if pointer not in of_weights)
    estimate = memory.STEP_BYTES * batch * spectrogram[0, 0].numel()
    assert 0.4 * estimate < activations < estimate  # besides them there are gradients


@pytest.mark.parametrize(
    ("overrides", "measured"),  # peaks over the memory before, with a checkpoint (GB)
    [
        (["data.batch_size=8"], 0.81),
        (["data.batch_size=32"], 1.52),
        (["latent_dim=4096"], 12.9),
        (["latent_dim=4096", "trainer.precision=bf16-mixed"], 14.4),
        (
            ["data.batch_size=2", "representation.n_fft=4096", "representation.hop=1024", "representation.frames=512"],
            7.2,
        ),
        (["latent_dim=8192", *QUICK[:3]], 3.2),
        (["data.batch_size=2", "media.sounds=32"], 0.78),
    ],
)
def test_the_estimate_is_near_what_was_measured(overrides, measured):
    assert measured / 1.3 < needed(config(*overrides)) / GB < measured * 1.5


def test_a_start_from_pca_needs_a_sample_of_the_sounds_and_one_from_a_base_does_not():
    assert needed(config("latent_dim=8", "start=base")) == needed(config("latent_dim=8"))
    assert needed(config("latent_dim=8", "start=pca")) > needed(config("latent_dim=8"))
    fullband = ["latent_dim=8", "representation=44k"]  # for which there is no base
    assert needed(config(*fullband, "start=base")) == needed(config(*fullband, "start=pca"))


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["latent_dim=65536"], "latent_dim"),
        (["data.batch_size=100000"], "data.batch_size"),
        (["representation.n_fft=16384", "representation.frames=4096"], "representation.frames"),
        (["representation.n_fft=16384", "representation.frames=400"], "representation.n_fft"),
        (["trainer.devices=1024"], "trainer.devices"),
        (["media.sounds=32", "data.batch_size=2", "representation.frames=1000"], "media.sounds"),
    ],
)
def test_the_largest_value_that_fits_is_said(overrides, key, monkeypatch):
    made = config(*overrides)
    available = 22 * GB if key != "media.sounds" else 0.9 * needed(made)
    monkeypatch.setattr(memory, "available_memory", lambda _: available)
    with pytest.raises(
        InputError, match=rf"^{key}=\d+ needs about [\d,.]+ GB, and [\d.]+ GB are available; the"
    ) as error:
        check(made)
    largest = int(str(error.value).rpartition(" ")[2])
    check(with_value(made, key, largest))
    assert needed(with_value(made, key, largest)) <= available
    assert needed(with_value(made, key, largest + 2)) > available


def test_several_settings_that_are_too_large_are_named(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda _: 22 * GB)
    with pytest.raises(
        InputError, match=r"^this run needs .*lower several of latent_dim=65536, data\.batch_size=100000$"
    ):
        check(config("latent_dim=65536", "data.batch_size=100000"))


def test_nothing_is_refused_where_the_memory_is_not_known_or_suffices(monkeypatch):
    made = config("latent_dim=65536")
    monkeypatch.setattr(memory, "available_memory", lambda _: None)
    check(made)
    monkeypatch.setattr(memory, "available_memory", lambda _: 2 * GB)
    check(config())
    check(replace(made, representation=replace(made.representation, n_fft=1023)))  # refused when it is built


def test_a_run_is_refused_before_the_sounds_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda _: 22 * GB)
    with pytest.raises(InputError, match="latent_dim=65536 needs"):
        run.run(config("latent_dim=65536", "data=folder", "data.root=/nowhere"), tmp_path)


def test_the_smallest_limit_counts(tmp_path, monkeypatch):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 9 kB\nMemAvailable:   20 kB\nSwapFree:  2 kB\n")
    assert memory.free_memory(file) == 22 * 1024
    assert memory.free_memory(tmp_path / "missing") is None
    for name, size in (("free_memory", 7.0), ("free_addresses", None)):
        monkeypatch.setattr(memory, name, lambda size=size: size)
    monkeypatch.setattr(memory.cgroups, "available_memory", lambda: 5)
    assert available_memory("cpu") == 5
    assert available_memory("gpu") is None  # there is none here
