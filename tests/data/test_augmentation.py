import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from tests.data.helpers import RATE, noise, sound
from vae2ch.config import AugmentConfig
from vae2ch.data.augmentation import AugmentedDataset, Draw, EpochSampler, ResumableLoader
from vae2ch.data.dataset import SoundDataset


def augmented(wave, length=1000, seed=3, **changes):
    """One sound, by default with no variation at all."""
    config = AugmentConfig(**{"speed": 0.0, "shift": 0.0, "gain_db": 0.0, "polarity": False, **changes})
    return AugmentedDataset(SoundDataset([sound(wave)], length), config, seed=seed, sample_rate=RATE)


def items(dataset, count=50):
    return [dataset[Draw(position, 0)] for position in range(count)]


def test_without_any_range_the_segment_is_unchanged():
    wave = noise(1000)
    for item in items(augmented(wave), count=5):
        assert np.array_equal(item.wave, wave)
        assert item.gain == 1


def test_an_augmentation_is_determined_by_seed_and_position():
    ranges = {"speed": 0.06, "shift": 0.01, "gain_db": 6.0, "polarity": True}
    dataset = augmented(noise(1000), **ranges)
    item = dataset[Draw(7, 0)]
    for same in (dataset[Draw(7, 0)], augmented(noise(1000), **ranges)[Draw(7, 0)]):
        assert torch.equal(item.wave, same.wave)
        assert item.gain == same.gain
    for other in (
        dataset[Draw(8, 0)],
        augmented(noise(1000), seed=4, **ranges)[Draw(7, 0)],
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


def sampler(size=7, minimum=20, batch_size=4, **options):
    return EpochSampler(size, **{"batch_size": batch_size, "minimum": minimum, "seed": 0, **options})


def epochs(samples, count):
    """Draws of the first epochs."""
    found = []
    for epoch in range(count):
        samples.set_epoch(epoch)
        found.append(list(samples))
    return found


@pytest.mark.parametrize(("size", "minimum", "batch_size", "expected"), [(7, 20, 4, 20), (30, 20, 4, 32), (3, 1, 8, 8)])
def test_an_epoch_has_at_least_a_pass_and_the_minimum_in_whole_batches(size, minimum, batch_size, expected):
    samples = sampler(size, minimum, batch_size)
    assert len(list(samples)) == len(samples) == expected


def test_every_pass_has_each_segment_once_also_across_epochs():
    draws = [draw for epoch in epochs(sampler(), 7) for draw in epoch]
    assert [draw.position for draw in draws] == list(range(140))
    for first in range(0, 140, 7):
        assert sorted(draw.index for draw in draws[first : first + 7]) == list(range(7))


def test_the_order_depends_on_seed_and_pass():
    orders = [[draw.index for draw in sampler(50, 150, 50, seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert len({tuple(orders[0][first : first + 50]) for first in (0, 50, 100)}) == 3


def test_processes_take_turns():
    whole = epochs(sampler(batch_size=4), 2)
    shares = [epochs(sampler(batch_size=2, rank=rank, ranks=2), 2) for rank in (0, 1)]
    for epoch, draws in enumerate(whole):
        assert [shares[number % 2][epoch][number // 2] for number in range(len(draws))] == draws


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*multi-threaded.*fork")
def test_a_loader_goes_on_within_an_epoch(workers):
    def loader(epoch=0):
        made = ResumableLoader(Indices(), 4, sampler=sampler(), num_workers=workers, persistent_workers=workers > 0)
        made.sampler.set_epoch(epoch)
        return made

    whole = [list(loader(epoch)) for epoch in range(3)]
    resumed = loader()
    resumed.load_state_dict({"epoch": 1, "first_batch": 3})
    assert resumed.state_dict() == {"epoch": 1, "first_batch": 3}
    resumed.sampler.set_epoch(1)  # as Lightning does
    assert [batch.tolist() for batch in resumed] == [batch.tolist() for batch in whole[1][3:]]
    resumed.sampler.set_epoch(2)
    assert [batch.tolist() for batch in resumed] == [batch.tolist() for batch in whole[2]]


def test_a_loader_begins_when_it_is_used():
    """Lightning makes the iterator before it sets the epoch."""
    loader = ResumableLoader(Indices(), 4, sampler=sampler())
    batches = iter(loader)
    loader.sampler.set_epoch(1)
    assert next(batches).tolist() == [draw.position for draw in epochs(sampler(), 2)[1][:4]]


class Indices(Dataset):
    """Positions that were asked for."""

    def __len__(self):
        return 7

    def __getitem__(self, draw):
        return draw.position
