import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vae2ch import losses
from vae2ch.bench import choices
from vae2ch.data import Batch
from vae2ch.model import Posterior, pad_to_stride
from vae2ch.refusal import Refusal
from vae2ch.training import KNOWN, Seen, VAEModule

REPRESENTATION = {"sample_rate": 16000, "n_fft": 126, "hop": 32, "frames": 30, "gain": 1e4}
TRAINING = {
    "learning_rate": 1e-3,
    "weight_decay": 0.1,
    "warmup_steps": 10,
    "amplitude_weight": 0.2,
    "frequency_weight": 0.5,
    "kl_weight": 0.01,
    "kl_warmup_steps": 0,
    "free_bits": 0.0,
    "patience": 5,
}


def module(**changes):
    model = {"latent_dim": 4, "dropout": 0.0}
    return VAEModule(model=model, representation=REPRESENTATION, training={**TRAINING, **changes}, seed=0)


def test_the_loss_is_the_sum_that_is_stated():
    predicted, target = torch.rand(3, 2, 64, 30), torch.rand(3, 2, 64, 30)
    posterior = Posterior(torch.randn(3, 4), torch.randn(3, 4))
    terms = module().terms(predicted, target, posterior)
    kl = kl_divergence(Normal(posterior.mean, (0.5 * posterior.logvar).exp()), Normal(0, 1)).sum(dim=1).mean()
    angle = 1 - torch.cos(math.pi * (predicted[:, 1] - target[:, 1]))
    frequency = (target[:, 0] * angle).sum() / target[:, 0].sum()
    magnitude = losses.magnitude_error(predicted[:, 0], target[:, 0])
    made, true = (torch.exp(2 * spectrogram[:, 0]) - 1 for spectrogram in (predicted, target))
    assert torch.isclose(terms["amplitude"], ((made - true) ** 2).sum() / 3e6, rtol=1e-4)  # soft as they are: of 1e6
    loss = magnitude + 0.2 * terms["amplitude"] + 0.5 * frequency + 0.01 * kl
    assert torch.isclose(terms["loss"], loss, rtol=1e-4)
    assert torch.isclose(terms["kl"], kl, rtol=1e-4)


def test_padding_changes_no_term():
    predicted, target = torch.rand(3, 2, 64, 30), torch.rand(3, 2, 64, 30)
    posterior = Posterior(torch.randn(3, 4), torch.randn(3, 4))
    plain = module().terms(predicted, target, posterior)
    padded = module().terms(pad_to_stride(predicted), pad_to_stride(target), posterior)
    wild = torch.nn.functional.pad(predicted, (0, 2), value=1e3)
    ignored = module().terms(wild, pad_to_stride(target), posterior)
    for name, term in plain.items():
        assert torch.isclose(term, padded[name], rtol=1e-6), name
        assert torch.isclose(term, ignored[name], rtol=1e-6), name


def drawn(made, count=20_000):
    """Latents and peaks."""
    return made.draw(count, torch.Generator().manual_seed(0))


def test_draws_are_from_the_prior_before_anything_is_seen():
    found, _ = drawn(module())
    assert torch.allclose(found.mean(dim=0), torch.zeros(4), atol=0.15)
    assert torch.allclose(found.T.cov(), torch.eye(4), atol=0.25)


def test_draws_come_from_where_the_training_sounds_lie():
    """A group of loud and one of soft sounds, far apart: mean, covariance and peak are theirs; none is between."""
    made = module()
    torch.manual_seed(0)
    group = torch.tensor([[3.0, -1.0, 0.0, 40.0], [3.0, -1.0, 0.0, -40.0]])
    for _ in range(32):
        mean = (group[:, None] + 0.1 * torch.randn(2, 4, 4)).flatten(0, 1)
        peak = torch.tensor([0.5, 0.01]).repeat_interleave(4)
        made.seen.append(Seen(mean, torch.full_like(mean, math.log(0.25)), peak))
    made.settle()
    (found, peak), means = drawn(made), torch.cat([seen.mean for seen in made.seen])
    assert torch.allclose(found.mean(dim=0), means.mean(dim=0), atol=1.0)
    expected = means.T.cov() + 0.25 * torch.eye(4)
    assert torch.allclose(found.T.cov()[:3, :3], 0.16 * expected[:3, :3] + 0.84 * means.T.cov()[:3, :3], atol=0.05)
    assert abs(found[:, 3].std() - 40) < 2
    assert (found[:, 3].abs() > 4).float().mean() > 0.95
    assert sorted(set(peak.tolist())) == pytest.approx([0.01, 0.5])
    assert ((peak > 0.1) == (found[:, 3] > 0)).float().mean() > 0.95


def test_every_sound_is_drawn_from_before_any_twice():
    made = module()
    made.peaks.copy_(torch.arange(KNOWN))  # tells them apart
    peaks = [made.draw(count, torch.Generator().manual_seed(0), smoothing=0.0)[1] for count in (20, KNOWN, KNOWN + 20)]
    assert [len(peak.unique()) for peak in peaks] == [20, KNOWN, KNOWN]
    assert [len(peak) for peak in peaks] == [20, KNOWN, KNOWN + 20]


def test_a_sound_comes_back_at_its_own_level():
    """What the model makes of a sound depends on nothing but its shape."""
    alone = module().eval()
    wave = torch.randn(2, alone.representation.segment) * 0.1
    loud, soft = (alone.reconstruct(alone.representation(factor * wave)) for factor in (1.0, 0.01))
    loud = alone.representation.scaled(loud, torch.full((2,), 0.01))
    assert torch.allclose(loud[:, 0], soft[:, 0], atol=1e-3)


def test_kl_weight_warms_up(monkeypatch):
    warming = module(kl_warmup_steps=100)
    weights = []
    for step in (0, 50, 100, 1000):
        monkeypatch.setattr(VAEModule, "global_step", step)
        weights.append(warming.kl_weight())
    assert weights == pytest.approx([0.0001, 0.0051, 0.01, 0.01])


def test_a_step_that_is_not_finite_names_the_term(monkeypatch):
    broken = module()
    monkeypatch.setattr(VAEModule, "global_step", 7)
    monkeypatch.setattr(broken, "log_dict", lambda *_, **__: None)
    spectrogram = torch.rand(2, 2, 64, 30)
    spectrogram[0, 0, 3, 3] = math.inf
    ones = torch.ones(2)
    batch = Batch(spectrogram, torch.zeros(2, 928), torch.tensor([928, 928]), torch.tensor([0, 1]), ones, ones)
    with pytest.raises(Refusal, match=r"train step 7: .*magnitude.* not finite"):
        broken.step(batch, "train")


def optimizer(monkeypatch):
    monkeypatch.setattr("vae2ch.training.budget_spent", lambda trainer: 0.0)
    alone = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda value: value))
    monkeypatch.setattr(VAEModule, "trainer", alone)
    made = module()
    return made, made.configure_optimizers()["optimizer"]


def test_decay_spares_biases(monkeypatch):
    made, found = optimizer(monkeypatch)
    spared, *decayed = found.param_groups
    assert spared["weight_decay"] == 0.0
    assert all(weight.ndim == 1 for weight in spared["params"])
    assert {group["weight_decay"] for group in decayed} == {0.1}
    assert all(weight.ndim > 1 for group in decayed for weight in group["params"])
    assert sum(len(group["params"]) for group in found.param_groups) == len(list(made.parameters()))


def test_rates_fall_with_the_number_of_inputs(monkeypatch):
    made, found = optimizer(monkeypatch)
    rates = {id(weight): group["initial_lr"] for group in found.param_groups for weight in group["params"]}
    encoder, decoder = made.vae.encoder, made.vae.decoder
    assert encoder.latent.in_features == 1024
    assert rates[id(encoder.latent.weight)] == pytest.approx(1e-3 / 4)
    assert rates[id(encoder.layers[4].weight)] == pytest.approx(1e-3 / 8)  # 4 x 512 inputs
    assert rates[id(decoder.layers[0].weight)] == pytest.approx(1e-3 / 2)  # 512, for each of four outputs
    assert rates[id(decoder.latent.weight)] == rates[id(decoder.heads.weight)] == 1e-3


def test_the_seed_decides_the_steps_noise(monkeypatch):
    drawn = []
    for step in (5, 6, 5):
        monkeypatch.setattr(VAEModule, "global_step", step)
        module().on_train_batch_start(None, 0)
        drawn.append(torch.randn(3))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("name", list(choices.VARIANTS))
def test_every_weight_of_every_variant_is_trained(name, monkeypatch):
    monkeypatch.setattr("vae2ch.training.budget_spent", lambda trainer: 0.0)
    alone = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda value: value))
    monkeypatch.setattr(VAEModule, "trainer", alone)
    made = module()
    choices.VARIANTS[name][0](made)
    found = made.configure_optimizers()["optimizer"]
    trained = [id(weight) for group in found.param_groups for weight in group["params"]]
    assert sorted(trained) == sorted(id(weight) for weight in made.parameters())
