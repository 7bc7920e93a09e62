import itertools
import math
from dataclasses import asdict, replace
from types import SimpleNamespace

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader

from tests.helpers import QUICK, ROOT, compose, python, small_codec_config
from vae2ch import audio
from vae2ch.cli.trainer import silence_lightning
from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig, from_mapping
from vae2ch.data import Batch
from vae2ch.errors import InputError
from vae2ch.model import DownConv, Posterior, UpConv, pad_to_stride
from vae2ch.training import CodecTraining, optimiser, schedule
from vae2ch.training.module import MAX_SKIPPED_STEPS, step_seed
from vae2ch.training.terms import batch_terms

BINS, FRAMES = 51, 30  # neither is a multiple of 32
WEIGHTS = {"amplitude_weight": 0.2, "frequency_weight": 0.5, "kl_weight": 0.01}


def small_training(seed=0, **changes):
    codec = SoundCodec(small_codec_config(n_fft=100, hop=32, frames=FRAMES))
    return CodecTraining(codec, replace(compose().training, **{**WEIGHTS, "free_bits": 0.0, **changes}), seed)


def random_spectrograms(loudest=4.0):
    return torch.rand(3, 2, BINS, FRAMES) * torch.tensor([loudest, 1.0])[:, None, None]


def random_batch(size=4, first=0):
    spectrogram = pad_to_stride(torch.rand(size, 2, BINS, FRAMES))
    samples, index = torch.full((size,), 928), torch.arange(first, first + size)
    return Batch(spectrogram, torch.zeros(size, 928), samples, index, peak=torch.linspace(0.2, 0.5, size))


# -- loss -----------------------------------------------------------------------------------------


def terms_of(module, predicted, target, posterior, kl_weight):
    """Terms of a batch, as the module computes them, with its padding left out."""
    module.codec.vae.forward = lambda spectrogram, *_: (predicted, posterior)
    batch = random_batch(len(target))._replace(spectrogram=target)
    segments, _ = module.forward_terms(batch)
    return batch_terms(segments, module.config, kl_weight)


def test_loss_is_the_weighted_sum_of_its_terms():
    predicted, target = random_spectrograms(), random_spectrograms()
    posterior = Posterior(torch.randn(3, 4), torch.randn(3, 4))
    terms = terms_of(small_training(free_bits=0.3), predicted, target, posterior, kl_weight=0.07)
    magnitude = ((predicted[:, 0] - target[:, 0]) ** 2).mean()
    amplitudes = [torch.exp(2 * spectrogram[:, 0]) - 1 for spectrogram in (predicted, target)]
    convergence = ((amplitudes[0] - amplitudes[1]) ** 2).sum((1, 2)) / (amplitudes[1] ** 2).sum((1, 2))
    distance = 1 - torch.cos(math.pi * (predicted[:, 1] - target[:, 1]))
    frequency = ((target[:, 0] * distance).sum((1, 2)) / target[:, 0].sum((1, 2))).mean()
    kl = kl_divergence(Normal(posterior.mean, (0.5 * posterior.logvar).exp()), Normal(0, 1)).mean(dim=0)
    kl_above_free_bits = (kl - 0.3).clamp(min=0).sum()
    assert kl_above_free_bits < kl.sum() - 0.3
    loss = magnitude + 0.2 * convergence.mean() + 0.5 * frequency + 0.07 * kl_above_free_bits
    expected = {
        "loss": loss,
        "magnitude": magnitude,
        "amplitude": convergence.mean(),
        "frequency": frequency,
        "kl": kl.sum(),
    }
    assert terms.keys() == expected.keys()
    for name, term in expected.items():
        assert torch.isclose(terms[name], term, rtol=1e-4), name


@pytest.mark.parametrize("padding", [0.0, 1e3])
def test_padding_changes_no_term(padding):
    module = small_training()
    predicted, target = random_spectrograms(), random_spectrograms()
    posterior = Posterior(torch.randn(3, 4), torch.randn(3, 4))
    plain = terms_of(module, predicted, target, posterior, kl_weight=0.01)
    padded = nn.functional.pad(predicted, (0, 32 - FRAMES, 0, 64 - BINS), value=padding)
    terms = terms_of(module, padded, pad_to_stride(target), posterior, kl_weight=0.01)
    assert padded.shape[-2:] == (64, 32)
    for name, term in plain.items():
        assert torch.isclose(term, terms[name], rtol=1e-6), name


# -- schedules and seeds --------------------------------------------------------------------------


def test_kl_weight_grows_linearly_and_then_stays():
    weights = [schedule.warmed_up_kl_weight(step, 0.01, warmup_steps=100) for step in (0, 49, 99, 100, 1000)]
    assert weights == pytest.approx([0.0001, 0.005, 0.01, 0.01, 0.01])
    assert schedule.warmed_up_kl_weight(0, 0.01, warmup_steps=0) == 0.01


def test_learning_rate_grows_linearly_in_the_first_steps():
    factors = [schedule.learning_rate_factor(step, 0.0, warmup_steps=50) for step in (0, 24, 49, 50, 5000)]
    assert factors == pytest.approx([0.02, 0.5, 1, 1, 1])
    assert schedule.learning_rate_factor(0, 0.0, warmup_steps=0) == 1


def test_learning_rate_falls_to_a_fiftieth_over_the_run():
    factors = [schedule.learning_rate_factor(100, percent / 100, warmup_steps=50) for percent in range(101)]
    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.51)
    assert factors[-1] == pytest.approx(0.02)
    assert all(later < earlier for earlier, later in itertools.pairwise(factors))


class FixedTimer(Timer):
    """A timer that shows given times."""

    def __init__(self, elapsed, remaining):
        self.elapsed, self.remaining = elapsed, remaining

    def time_elapsed(self, stage=None):
        return self.elapsed

    def time_remaining(self, stage=None):
        return self.remaining


@pytest.mark.parametrize(
    ("step", "timers", "progress"),
    [
        (25, [], 0.25),
        (25, [FixedTimer(30, 10)], 0.75),
        (80, [FixedTimer(30, 10)], 0.8),
        (25, [FixedTimer(30, None)], 0.25),  # without a time limit
        (130, [], 1.0),
        (25, [FixedTimer(50, -10)], 1.0),
    ],
)
def test_progress_is_that_of_the_limit_that_ends_the_run_first(step, timers, progress):
    trainer = SimpleNamespace(global_step=step, estimated_stepping_batches=100, callbacks=timers)
    assert schedule.training_progress(trainer) == progress


def test_step_seed_depends_on_seed_step_and_rank():
    counters = list(itertools.product(range(5), range(20), range(4)))
    seeds = [step_seed(*counter) for counter in counters]
    assert len(set(seeds)) == len(counters)
    assert seeds == [step_seed(*counter) for counter in counters]


def noise_of(seed, step, count=4, rank=0, ranks=1):
    module = small_training(seed)
    module._trainer = SimpleNamespace(global_step=step, global_rank=rank, world_size=ranks)
    return module.noise(count)


def test_noise_of_a_step_does_not_depend_on_what_ran_before():
    noise = []
    for seed, step in ((1, 5), (2, 5), (1, 6), (1, 5)):
        torch.randn(seed + len(noise))
        noise.append(noise_of(seed, step))
    assert torch.equal(noise[0], noise[3])
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0], noise[2])


def test_processes_share_the_noise_of_one():
    whole = noise_of(1, 5, count=6)
    shares = [noise_of(1, 5, count=3, rank=rank, ranks=2) for rank in (0, 1)]
    assert torch.equal(torch.stack(shares, dim=1).flatten(0, 1), whole)


def kept_latents(count, rank=0, ranks=1):
    module = small_training(core_latents=1)
    module._trainer = SimpleNamespace(world_size=ranks, global_rank=rank)
    return module.kept_latents(random_batch(count))


def test_three_of_four_segments_have_their_core_alone_in_one_process_and_in_two():
    whole = kept_latents(6)
    assert whole[:, 0].tolist() == [1] * 6
    assert whole[:, 1:].mean(dim=1).tolist() == [1, 0, 0, 0, 1, 0]
    shares = [kept_latents(3, rank, ranks=2) for rank in (0, 1)]
    assert torch.equal(torch.stack(shares, dim=1).flatten(0, 1), whole)


def test_latents_that_are_left_out_change_neither_the_output_nor_the_kl():
    module, batch = small_training(core_latents=1), random_batch()
    kept = torch.ones(4, module.codec.vae.latent_dim)
    kept[0, 1:] = 0
    noise = torch.randn(4, module.codec.vae.latent_dim)
    other = torch.cat([noise[:, :1], torch.randn_like(noise[:, 1:])], dim=1)
    one, two = (module.forward_terms(batch, part, kept)[0] for part in (noise, other))
    same = (one.magnitude - two.magnitude).abs() < 1e-6
    assert same.tolist() == [True, False, False, False]
    assert one.kl[0, 1:].tolist() == [0] * (module.codec.vae.latent_dim - 1)
    assert (one.kl[1:] > 0).all()


@torch.no_grad()
def test_the_validation_loss_is_that_of_the_latents_which_training_keeps():
    module, batch = small_training(core_latents=1), random_batch()
    module._trainer = SimpleNamespace(world_size=1, global_rank=0)
    module.validation_step(batch, 0)
    ((_, found),) = module.held_out
    codec = module.codec
    latent = codec.vae.encode(batch.spectrogram).mean
    latent[1:, 1:] = 0
    bins, frames = codec.representation.size
    error = (codec.vae.decode(latent) - batch.spectrogram)[:, 0, :bins, :frames]
    expected = error.square().mean(dim=(1, 2))
    torch.testing.assert_close(found.magnitude, expected, rtol=1e-4, atol=1e-6)


# -- optimiser ------------------------------------------------------------------------------------


def test_each_parameter_is_in_one_group_and_biases_do_not_decay():
    module = small_training(learning_rate=1e-3, weight_decay=0.1)
    vae, groups = module.codec.vae, optimiser.parameter_groups(module.codec.vae, module.config)
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in vae.parameters())
    for group in groups:
        for parameter in group["params"]:
            assert group["lr"] * group["decay"] == pytest.approx(0.0 if parameter.ndim == 1 else 1e-3 * 0.1)


def test_learning_rates_fall_with_the_number_of_inputs():
    module = small_training(learning_rate=1e-3, weight_decay=0.1)
    vae, groups = module.codec.vae, optimiser.parameter_groups(module.codec.vae, module.config)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    encoder, decoder = vae.encoder, vae.decoder
    assert encoder.latent.in_features == 1024
    assert rates[id(encoder.latent.weight)] == pytest.approx(1e-3 / 4)
    assert rates[id(encoder.layers[4].weight)] == pytest.approx(1e-3 / 8)  # 4 x 512 inputs
    assert rates[id(decoder.layers[0].weight)] == pytest.approx(1e-3 / 2)  # 512, for each of four outputs
    full = (encoder.layers[0].weight, decoder.latent.weight, decoder.magnitude_head.weight, encoder.latent.bias)
    assert {rates[id(parameter)] for parameter in full} == {1e-3}


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Linear(9, 4), (9,)), (DownConv(3, 5), (3, 4, 4)), (UpConv(7, 2), (7, 4, 4))]
)
def test_fan_in_is_the_number_of_inputs_that_an_output_depends_on(layer, shape):
    inputs = torch.randn(1, *shape, requires_grad=True)
    layer(inputs).flatten()[0].backward()
    assert optimiser.fan_in(layer) == int((inputs.grad != 0).sum())


def test_decay_leads_to_the_initial_weights():
    """Without gradients AdamW's decay shrinks a weight's distance to its start by a factor at each step."""
    module = small_training(learning_rate=0.1, weight_decay=0.5)
    vae = module.codec.vae
    initial = [weight.detach().clone() for weight in vae.parameters()]
    adam = optimiser.build_optimiser(vae, module.config)
    moved = [0.01 * torch.randn_like(weight) for weight in initial]
    for weight, start, distance in zip(vae.parameters(), initial, moved, strict=True):
        weight.data = start + distance
        weight.grad = torch.zeros_like(weight)
    for _ in range(3):
        adam.step()
    rates = {id(weight): group["lr"] * group["decay"] for group in adam.param_groups for weight in group["params"]}
    for weight, start, distance in zip(vae.parameters(), initial, moved, strict=True):
        torch.testing.assert_close(weight.data - start, distance * (1 - rates[id(weight)]) ** 3, rtol=1e-3, atol=1e-6)


def test_a_weight_without_a_gradient_does_not_decay():
    module = small_training(learning_rate=0.1, weight_decay=0.5)
    vae = module.codec.vae
    adam = optimiser.build_optimiser(vae, module.config)
    before = [weight.data.add_(0.1).clone() for weight in vae.parameters()]
    adam.step()
    assert all(torch.equal(one, other) for one, other in zip(before, vae.parameters(), strict=True))


# -- Lightning ------------------------------------------------------------------------------------


def fit(module, batches, directory, steps=3, checkpoint=None):
    """Train for some steps, without files and progress bar."""
    silence_lightning()
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "num_sanity_val_steps": 0}
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=steps, default_root_dir=directory, enable_model_summary=False, **options
    )
    loaders = [DataLoader(batches, batch_size=None) for _ in range(2)]
    trainer.fit(module, *loaders, ckpt_path=checkpoint)
    return trainer


def test_training_changes_every_parameter_and_stores_latents(tmp_path):
    module, batches = small_training(), [random_batch(first=first) for first in (0, 4, 8)]
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    trainer = fit(module, batches, tmp_path)
    assert trainer.global_step == 3
    assert [name for name, parameter in module.named_parameters() if torch.equal(parameter, before[name])] == []
    assert int(module.codec.latents.segments) == 12
    assert torch.equal(module.codec.latents.peaks[:12], torch.cat([batch.peak for batch in batches]))
    assert {"train/loss", "val/loss", "val/kl", "train/active_units"} <= trainer.callback_metrics.keys()
    posterior = Posterior(*map(torch.cat, zip(*(module.codec.vae.encode(b.spectrogram) for b in batches), strict=True)))
    kl = kl_divergence(Normal(posterior.mean, (0.5 * posterior.logvar).exp()), Normal(0, 1)).mean(dim=0)
    assert torch.allclose(module.kl_per_latent, kl, rtol=1e-3)


def test_equal_seeds_train_to_equal_parameters(tmp_path):
    batches, trained = [random_batch() for _ in range(3)], []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        module = small_training(seed)
        fit(module, batches, tmp_path)
        trained.append(module.codec.vae.encoder.latent.weight)
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def damaged(batch):
    """A batch whose magnitude is not finite."""
    spectrogram = batch.spectrogram.clone()
    spectrogram[0, 0, 3, 3] = math.inf
    return batch._replace(spectrogram=spectrogram)


def test_a_step_that_is_not_finite_is_left_out_and_named(tmp_path, capsys):
    good = [random_batch() for _ in range(3)]
    modules = []
    for batches in (good[:1], [good[0], damaged(good[1])]):
        torch.manual_seed(0)
        modules.append(small_training(warmup_steps=0))
        fit(modules[-1], batches, tmp_path, steps=len(batches))
    line = capsys.readouterr().out
    assert "step 2: loss, magnitude" in line
    assert "left out; its segments are 0, 1, 2, 3" in line
    weights = [list(module.codec.vae.parameters()) for module in modules]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    assert int(modules[1].codec.latents.segments) == 4
    assert all(torch.isfinite(value).all() for value in modules[1].state_dict().values())


def test_steps_after_one_that_was_left_out_are_taken(tmp_path):
    batches = [random_batch(), damaged(random_batch()), random_batch()]
    module = small_training()
    fit(module, batches, tmp_path)
    assert module.skipped_steps == 0
    assert int(module.codec.latents.batches) == 2


def test_the_training_ends_after_ten_steps_in_a_row_that_are_not_finite(tmp_path):
    module = small_training()
    before = [weight.clone() for weight in module.codec.vae.parameters()]
    batches = [damaged(random_batch()) for _ in range(MAX_SKIPPED_STEPS + 2)]
    with pytest.raises(InputError, match=r"step 10: .*magnitude.*last 10 steps.*learning_rate.*32-true"):
        fit(module, batches, tmp_path, steps=20)
    assert all(torch.equal(one, other) for one, other in zip(before, module.codec.vae.parameters(), strict=True))


def test_a_changed_learning_rate_has_an_effect_on_a_resumed_run(tmp_path):
    batches = [random_batch() for _ in range(3)]
    first = small_training(learning_rate=1e-3)
    trainer = fit(first, batches, tmp_path, steps=3)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    second = small_training(learning_rate=5e-4, weight_decay=0.25)
    trainer = fit(second, batches, tmp_path, steps=4, checkpoint=tmp_path / "a.ckpt")
    (optimizer,) = trainer.optimizers
    expected = optimiser.build_optimiser(second.codec.vae, second.config).param_groups
    assert [group["initial_lr"] for group in optimizer.param_groups] == [group["lr"] for group in expected]
    assert [group["decay"] for group in optimizer.param_groups] == [group["decay"] for group in expected]
    assert max(group["decay"] for group in optimizer.param_groups) > 0.25
    kept, loaded = torch.load(tmp_path / "a.ckpt")["optimizer_states"][0]["param_groups"], optimizer.param_groups
    for saved, group in zip(kept, loaded, strict=True):
        assert all(map(torch.equal, saved["initial_weights"], group["initial_weights"]))
    assert trainer.lr_scheduler_configs[0].scheduler.base_lrs == [group["lr"] for group in expected]


def test_a_checkpoint_without_initial_weights_has_those_of_the_checkpoint():
    """Those of earlier versions."""
    first = small_training(weight_decay=0.25)
    made = optimiser.build_optimiser(first.codec.vae, first.config)
    state = made.state_dict()
    for group in state["param_groups"]:
        del group["initial_weights"]
    with torch.no_grad():
        for weight in first.codec.vae.parameters():
            weight += 1
    made.load_state_dict(state)
    for group in made.param_groups:
        assert all(map(torch.equal, group["initial_weights"], group["params"]))


def test_checkpoint_describes_the_codec_in_plain_data(tmp_path):
    module = small_training()
    fit(module, [random_batch()], tmp_path, steps=1).save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert isinstance(checkpoint["vae2ch"].pop("validation_loss"), float)
    assert checkpoint["vae2ch"] == {"format": 7, "config": asdict(module.codec.config), "start": ""}
    assert from_mapping(CodecConfig, checkpoint["vae2ch"]["config"]) == module.codec.config


@pytest.mark.slow
def test_a_representation_of_500_bins_and_100_frames_trains(folder, tmp_path):
    quick = [setting for setting in QUICK if setting.startswith(("minutes", "media"))]
    size = ("n_fft=998", "hop=250", "frames=100")
    limits = ("trainer.max_epochs=1", "trainer.limit_train_batches=3", "data.batch_size=2", "data.epoch_segments=8")
    settings = [*(f"representation.{setting}" for setting in size), *limits, *quick, "name=odd"]
    done = python(ROOT / "train.py", "data=folder", f"data.root={folder}", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    codec = SoundCodec.load(tmp_path / "outputs" / "odd")
    assert codec.representation.size == (500, 100)
    assert codec.vae.size == (512, 128)
    wave = torch.from_numpy(audio.load(folder / "copy.wav", codec.sample_rate))
    reconstruction = codec.reconstruct(wave)
    assert reconstruction.shape == wave.shape
    assert 0.1 < float(reconstruction.abs().max() / wave.abs().max()) < 10
