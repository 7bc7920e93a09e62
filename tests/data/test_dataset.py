import numpy as np
import pytest
import torch

from tests.data.helpers import noise, sound
from vae2ch.data.dataset import SoundDataset, evenly_spaced, segment_starts


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (500, [0]),
        (1000, [0]),
        (2040, [0, 1000]),  # a remainder of 4 % is dropped
        (2500, [0, 1000, 1500]),  # the last segment ends with the sound
        (3000, [0, 1000, 2000]),
    ],
)
def test_segments_are_back_to_back_and_the_last_one_ends_with_the_sound(samples, starts):
    assert segment_starts(noise(samples), 1000) == starts


def test_segments_cover_the_sound_and_skip_silence():
    starts = segment_starts(noise(20480, silent=[(0, 5120), (7680, 15360)]), 1024)
    assert starts[0] == 5120
    covered = np.zeros(20480, bool)
    for start in starts:
        covered[start : start + 1024] = True
    assert covered[5120:7680].all()
    assert covered[15360:].all()
    assert not covered[:5120].any()
    assert not covered[9000:15000].any()


def test_silence_is_relative_to_the_peak_of_the_sound():
    wave = noise(4096)
    wave[2048:] *= 1e-4
    assert segment_starts(wave, 1024) == segment_starts(1e-3 * wave, 1024) == [0, 1024]


def test_short_sounds_are_padded_with_zeros():
    wave = noise(700)
    item = SoundDataset([sound(wave)], 1000)[0]
    assert item.wave.shape == (1000,)
    assert (item.samples, item.index, item.gain) == (700, 0, 1.0)
    assert np.array_equal(item.wave[:700], wave)
    assert item.wave[700:].eq(0).all()


def test_items_are_the_segments_of_all_sounds():
    waves = [noise(2000, seed=1), noise(300, seed=2), noise(1000, seed=3)]
    dataset = SoundDataset([sound(wave, f"{n}.wav") for n, wave in enumerate(waves)], 1000)
    assert len(dataset) == 4
    expected = [waves[0][:1000], waves[0][1000:], waves[1], waves[2]]
    for index, part in enumerate(expected):
        item = dataset[index]
        assert item.index == index
        assert item.samples == part.size
        assert np.array_equal(item.wave[: part.size], part)
    assert [dataset.label(index, 16000) for index in range(4)] == ["0.wav", "0.wav @ 0.06 s", "1.wav", "2.wav"]


def test_a_shifted_segment_begins_earlier_in_the_sound():
    wave = noise(2000)
    dataset = SoundDataset([sound(wave)], 1000)
    assert np.array_equal(dataset.excerpt(1, 100).wave, wave[900:1900])
    early = dataset.excerpt(0, 100)
    assert early.wave[:100].eq(0).all()
    assert np.array_equal(early.wave[100:], wave[:900])
    assert SoundDataset([sound(wave)], 1000).excerpt(0, 5000).wave.eq(0).all()


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_a_shifted_segment_is_filled_to_its_end_at_any_speed(speed):
    item = SoundDataset([sound(np.ones(3000, np.float32))], 1000).excerpt(0, shift=100, speed=speed)
    assert item.samples == 1000
    assert item.wave[:100].eq(0).all()
    assert torch.allclose(item.wave[150:950], torch.ones(800), atol=0.05)


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_pitch_and_length(speed):
    wave = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    item = SoundDataset([sound(wave)], 16000).excerpt(0, speed=speed)
    assert item.wave.shape == (16000,)
    assert abs(int(item.samples) - min(16000, 16000 / speed)) <= 2
    part = item.wave[: int(item.samples)].numpy()
    peak = np.abs(np.fft.rfft(part)).argmax() * 16000 / part.size
    assert abs(peak - 1000 * speed) < 5


def test_an_item_shares_no_memory_with_the_sound():
    wave = noise(1000)
    dataset = SoundDataset([sound(wave)], 1000)
    dataset[0].wave.zero_()
    assert np.array_equal(dataset[0].wave, noise(1000))


@pytest.mark.parametrize(("count", "total"), [(300, 58), (300, 5), (5, 5), (1, 7), (4, 7), (300, 1000), (3, 0)])
def test_indices_are_evenly_spaced_from_the_first_to_the_last(count, total):
    found = evenly_spaced(count, total)
    assert found == sorted(set(found))
    assert len(found) == min(count, total)
    if count >= total:
        assert found == list(range(total))
    elif count > 1:
        assert (found[0], found[-1]) == (0, total - 1)
        gaps = np.diff(found)
        assert gaps.max() - gaps.min() <= 1
