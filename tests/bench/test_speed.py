import sys

import pytest
import torch

from tests.helpers import QUICK
from vae2ch.bench import common, speed
from vae2ch.cli.run import build
from vae2ch.model import VAE


def test_the_plain_network_computes_the_same_function():
    """Equal weights give equal output, so that the ladder compares implementations of one network."""
    vae = VAE(bins=64, frames=32, latent_dim=4).train()
    plain = speed.Plain(bins=64, frames=32, latent_dim=4)
    pairs = [
        *zip(vae.encoder.layers, plain.encoder[::2], strict=True),
        *zip(vae.decoder.layers, plain.decoder[::2], strict=True),
        (vae.encoder.latent, plain.to_latent),
        (vae.decoder.latent, plain.from_latent),
        (vae.decoder.magnitude_head, plain.magnitude_head),
        (vae.decoder.frequency_head, plain.frequency_head),
    ]
    for layer, other in pairs:
        layer.load_state_dict(other.state_dict())
    assert sum(weight.numel() for weight in vae.parameters()) == sum(weight.numel() for weight in plain.parameters())
    spectrogram = torch.rand(2, 2, 64, 32)
    noise = torch.randn(2, vae.latent_dim)
    assert torch.allclose(vae(spectrogram, noise)[0], plain(spectrogram, noise)[0], atol=1e-5)


def test_seconds_per_call_is_the_median():
    calls = iter([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert speed.seconds_per_call(lambda: next(calls), "cpu", minimum=0.0) < 0.1


@pytest.mark.slow
def test_the_steps_are_timed(folder, tmp_path, monkeypatch):
    torch.set_num_threads(1)  # faster for small spectrograms
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "seconds_per_call", lambda call, *_, **__: call() or 1.0)
    config = common.settings(folder, QUICK)
    data, module = build(config)
    data.setup()
    rates, gflop = speed.ladder(config, "cpu", size=2)
    assert set(rates.values()) == {2.0}
    assert len(rates) == 6
    assert gflop > 0
    parts = speed.anatomy(config, data, "cpu")
    assert list(parts) == ["read and augment", "analyse", "forward", "loss", "backward", "clip", "Adam and decay"]
    assert speed.training_rate(config, data, steps=2) > 0
    monkeypatch.setattr(speed, "seconds_per_call", lambda call, *_: 2.0)
    assert speed.sound(module.codec, "cpu")["reconstruction of 120 s, with the model"] == 60


def test_process_seconds_checks_the_exit_status(tmp_path):
    assert speed.process_seconds("-c", "print('x'); import time; time.sleep(60)", cwd=tmp_path, until="x") < 30
    assert speed.process_seconds("-c", "exit(2)", cwd=tmp_path, status=2) > 0
    with pytest.raises(RuntimeError, match="status 1"):
        speed.process_seconds("-c", "exit(1)", cwd=tmp_path)


@pytest.mark.slow
def test_costs_of_a_collection():
    first, second, step, memory = map(float, speed.growth(20))
    assert min(first, second, step) >= 0
    assert memory > 100 or sys.platform != "linux"
