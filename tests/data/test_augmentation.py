import numpy as np
import pytest
import torch

from tests.data.helpers import RATE, noise, sound
from vae2ch.config import AugmentConfig
from vae2ch.data.augmentation import AugmentedDataset, Draw, EpochSampler
from vae2ch.data.dataset import SoundDataset


def augmented(wave, length=1000, seed=3, **changes):
    """One sound, by default with no variation at all."""
    config = AugmentConfig(**{"speed": 0.0, "shift": 0.0, "gain_db": 0.0, "polarity": False, **changes})
    return AugmentedDataset(SoundDataset([sound(wave)], length), config, seed=seed, sample_rate=RATE)


def items(dataset, count=50, epoch=0):
    return [dataset[Draw(epoch, position, 0)] for position in range(count)]


def test_without_any_range_the_segment_is_unchanged():
    wave = noise(1000)
    for item in items(augmented(wave), count=5):
        assert np.array_equal(item.wave, wave)
        assert item.gain == 1


def test_an_augmentation_is_determined_by_seed_epoch_and_position():
    ranges = {"speed": 0.06, "shift": 0.01, "gain_db": 6.0, "polarity": True}
    dataset = augmented(noise(1000), **ranges)
    item = dataset[Draw(0, 7, 0)]
    for same in (dataset[Draw(0, 7, 0)], augmented(noise(1000), **ranges)[Draw(0, 7, 0)]):
        assert torch.equal(item.wave, same.wave)
        assert item.gain == same.gain
    for other in (
        dataset[Draw(1, 7, 0)],
        dataset[Draw(0, 8, 0)],
        augmented(noise(1000), seed=4, **ranges)[Draw(0, 7, 0)],
    ):
        assert item.gain != other.gain
        assert not torch.equal(item.wave, other.wave)


def test_gains_are_in_their_range_and_leave_the_samples_alone():
    wave = noise(1000)
    found = items(augmented(wave, gain_db=6.0))
    gain_db = 20 * torch.log10(torch.stack([item.gain for item in found]))
    assert gain_db.abs().max() <= 6
    assert gain_db.min() < -4
    assert gain_db.max() > 4
    assert all(np.array_equal(item.wave, wave) for item in found)


def test_delays_are_in_their_range():
    delays = [int((item.wave != 0).nonzero()[0]) for item in items(augmented(noise(1000), shift=0.01))]
    assert max(delays) <= 0.01 * RATE
    assert len(set(delays)) > 20


def test_polarity_flips_about_half_of_the_segments():
    wave = noise(1000)
    found = items(augmented(wave, polarity=True), count=100)
    signs = [1 if np.array_equal(item.wave, wave) else -1 for item in found]
    assert all(np.array_equal(sign * item.wave, wave) for sign, item in zip(signs, found, strict=True))
    assert 25 < signs.count(1) < 75


@pytest.mark.parametrize("speed", [0.06, 1.0])
def test_speeds_are_in_their_range(speed):
    wave = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    found = []
    for item in items(augmented(wave, length=RATE // 2, speed=speed), count=30):
        part = item.wave[: int(item.samples)].numpy()
        spectrum = np.abs(np.fft.rfft(part * np.hanning(part.size), 1 << 17))
        found.append(spectrum.argmax() * RATE / (1 << 17) / 1000)
    assert max(found) <= (1 + speed) * 1.002
    assert min(found) >= 0.998 / (1 + speed)
    assert max(found) > 1 + 0.6 * speed
    assert min(found) < 1 / (1 + 0.6 * speed)


def test_an_epoch_has_whole_passes_until_the_minimum():
    sampler = EpochSampler(7, minimum=20, seed=0)
    draws = list(sampler)
    assert len(draws) == len(sampler) == 21
    for first in (0, 7, 14):
        assert sorted(draw.index for draw in draws[first : first + 7]) == list(range(7))
    assert [draw.position for draw in draws] == list(range(21))
    assert {draw.epoch for draw in draws} == {0}
    assert len(EpochSampler(30, minimum=20, seed=0)) == 30


def test_the_order_depends_on_seed_and_epoch():
    sampler = EpochSampler(50, minimum=50, seed=0)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert {draw.epoch for draw in second} == {1}
    orders = [[draw.index for draw in draws] for draws in (first, second, EpochSampler(50, minimum=50, seed=1))]
    assert len(set(map(tuple, orders))) == 3


def test_processes_share_an_epoch():
    whole = list(EpochSampler(7, minimum=20, seed=0))
    shares = [list(EpochSampler(7, minimum=20, seed=0, rank=rank, ranks=2)) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == len(EpochSampler(7, minimum=20, seed=0, rank=1, ranks=2)) == 10
    assert sorted(shares[0] + shares[1], key=lambda draw: draw.position) == whole[:20]
