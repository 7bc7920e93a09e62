import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.data.helpers import RATE, data_config, write_noise
from tests.helpers import compose
from vae2ch import audio
from vae2ch.data import world
from vae2ch.data.collection import read_collection
from vae2ch.data.world import files, sound, strings, tones, voices, winds
from vae2ch.data.world.curves import RATE as WORLD_RATE
from vae2ch.data.world.curves import Event
from vae2ch.data.world.engines import NOISE_HERTZ, harmonics, modes, noise
from vae2ch.errors import InputError

TONES = (tones.additive, tones.drawbars, tones.subtractive, strings.plucked, strings.struck, strings.bowed)
TONES += (winds.flute, winds.reed, winds.brass, voices.singing)


def event(number=0, samples=WORLD_RATE, hertz=300.0, length=3.0):
    return Event(np.random.default_rng(number), samples, hertz, length, 0.5)


def peak_hertz(wave):
    """Frequency of the highest peak of the spectrum."""
    return np.argmax(np.abs(np.fft.rfft(wave * np.hanning(wave.size)))) * WORLD_RATE / wave.size


def periodicity(wave, near):
    """Frequency of the largest autocorrelation at lags of half an octave around that of ``near``."""
    power = np.abs(np.fft.rfft(wave, 2 * wave.size)) ** 2
    shortest = round(WORLD_RATE / near / 2**0.5)
    lags = np.fft.irfft(power)[shortest : round(WORLD_RATE / near * 2**0.5)]
    return WORLD_RATE / (shortest + np.argmax(lags))


def describe(number, seed=0):
    return sound.describe(sound.generator(seed, number))


@pytest.mark.parametrize("numbers", [range(8), pytest.param(range(8, 60), marks=pytest.mark.torture)])
@pytest.mark.parametrize("family", sound.FAMILIES)
def test_every_family_gives_sounds_that_differ(family, numbers):
    waves = [sound.render(0, number, family) for number in numbers]
    for number, wave in zip(numbers, waves, strict=True):
        assert wave.shape == (sound.SAMPLES,)
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all(), number
        assert 0.05 < np.abs(wave).max() <= 1, number
        assert wave.std() > 1e-5, number
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(waves)) > 1e-3


def test_a_sound_is_determined_by_its_seed_and_number():
    assert np.array_equal(sound.render(3, 8), sound.render(3, 8))
    assert not np.array_equal(sound.render(3, 8), sound.render(4, 8))
    assert not np.array_equal(sound.render(3, 8, "plucked"), sound.render(3, 9, "plucked"))


@pytest.mark.parametrize("hertz", [60.0, 300.0, 1000.0])
@pytest.mark.parametrize("family", TONES)
def test_tones_have_the_pitch_that_was_drawn(family, hertz):
    """The strongest periodicity within an octave of it; most do not glide."""
    found = [periodicity(family(event(number, hertz=hertz)), hertz) for number in range(3)]
    assert np.median(found) == pytest.approx(hertz, rel=0.025)


def test_a_harmonic_is_at_its_frequency_and_none_is_folded_back():
    made = event(hertz=3000.0)
    curve = np.full(made.time.size, 3000.0)
    wave = harmonics(made, curve, lambda time, hertz, number: np.ones_like(hertz))
    power = np.abs(np.fft.rfft(wave * np.hanning(wave.size))) ** 2
    frequency = np.arange(power.size)  # one second: a bin is a hertz
    near = np.abs((frequency + 1500) % 3000 - 1500) < 5
    assert frequency[near & (power > power.max() / 4)].min() == pytest.approx(3000, abs=1)
    assert power[~near].sum() < 1e-3 * power.sum()


def test_a_mode_has_its_frequency_and_decay():
    wave = modes(event(), np.array([440.0]), np.array([1.0]), 0.5)
    assert peak_hertz(wave) == pytest.approx(440, abs=1)
    levels = [np.sqrt(np.mean(wave[at : at + 2205] ** 2)) for at in (0, WORLD_RATE // 4)]
    assert 20 * np.log10(levels[1] / levels[0]) == pytest.approx(-30, abs=0.5)
    assert np.abs(modes(event(), np.array([30000.0]), np.array([1.0]), 1.0)).max() == 0


def test_noise_has_the_spectrum_that_is_asked_for():
    wave = noise(event(), np.where(NOISE_HERTZ < 5000, 1.0, 0.0))
    power = np.abs(np.fft.rfft(wave)) ** 2
    assert power[5200:].sum() < 0.01 * power.sum()
    assert noise(event(), np.ones(NOISE_HERTZ.size)).std() == pytest.approx(1, abs=0.05)


def test_pitches_lengths_and_onsets_are_drawn_wide():
    drawn = [describe(number) for number in range(2000)]
    pitches, lengths, onsets = (np.array([getattr(d, name) for d in drawn]) for name in ("pitch", "length", "onset"))
    assert {d.family for d in drawn} == set(sound.FAMILIES)
    assert sound.LOWEST <= pitches.min() < 30
    assert 4000 < pitches.max() <= sound.HIGHEST
    assert np.mean((pitches > 80) & (pitches < 1200)) > 0.7
    assert lengths.min() < 0.03
    assert 0.2 < np.mean(lengths > sound.SECONDS) < 0.4
    assert 0.5 < np.mean((onsets >= 0) & (onsets < 0.1)) < 0.9
    assert onsets.min() < -0.5
    assert onsets.max() > 1


def test_some_sounds_end_and_some_go_on():
    ends = []
    for number in range(60):
        level = np.abs(sound.render(1, number, "additive")).reshape(-1, 882).max(axis=1)  # 20 ms each
        ends.append(np.flatnonzero(level > 0.01 * level.max())[-1] / level.size)
    assert min(ends) < 0.5
    assert 0.15 < np.mean(np.array(ends) > 0.98) < 0.8


def test_files_are_written_once_and_only_missing_ones(tmp_path):
    first = world.write(tmp_path / "world", 5, 4)
    assert [path.name for path in first] == [files.file_name(5, number) for number in range(4)]
    wave, rate, _ = audio.decode(first[2])
    assert rate == WORLD_RATE
    assert np.abs(wave - sound.render(5, 2)).max() < 1e-4
    first[1].write_text("already there")
    first[3].unlink()
    more = world.write(tmp_path / "world", 5, 6)
    assert more[:4] == first
    assert first[1].read_text() == "already there"
    assert audio.is_result(more[3])
    assert sorted(more) == sorted((tmp_path / "world").iterdir())


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_several_processes_write_the_same_files(tmp_path, monkeypatch, real):
    """Threads instead of processes, which take seconds to start."""
    if not real:
        monkeypatch.setattr(files, "ProcessPoolExecutor", lambda count, context: ThreadPoolExecutor(count))
    monkeypatch.setattr(files, "MIN_FOR_PROCESSES", 2)
    monkeypatch.setattr(files, "CHUNK", 2)
    before = dict(os.environ)
    several = world.write(tmp_path / "several", 0, 4, processes=2)
    assert dict(os.environ) == before
    one = world.write(tmp_path / "one", 0, 4)
    assert [path.read_bytes() for path in several] == [path.read_bytes() for path in one]


def test_the_world_is_read_with_its_seed_and_number_only(tmp_path):
    def read(**changes):
        root, cache = tmp_path / "world", str(tmp_path / "cache")
        return read_collection(data_config(root, source="world", cache=cache, **changes), RATE, RATE, 0)

    few, more, other = read(sounds=5, world_seed=0), read(sounds=7, world_seed=0), read(sounds=5, world_seed=1)
    names = {found.name for found in few.sounds}
    assert names == {files.file_name(0, number) for number in range(5)}
    assert names < {found.name for found in more.sounds}
    assert {found.name for found in other.sounds}.isdisjoint(names)
    assert few.recordings == 5
    assert few.refused == {}
    assert all(few.splits.values())


def test_a_folder_with_other_files_is_refused(tmp_path):
    write_noise(tmp_path, "mine.wav")
    with pytest.raises(InputError, match=r"^data\.root: .* holds mine\.wav, .*add data=folder$"):
        world.write(tmp_path, 0, 3)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "world").write_text("a file in its place")
    with pytest.raises(InputError, match="cannot write"):
        world.write(tmp_path / "world", 0, 3)


@pytest.mark.parametrize("wrong", ["data.sounds=2", "data.world_seed=-1"])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(InputError, match=f"^{re.escape(wrong)}") as caught:
        compose("data=world", wrong)
    assert "\n" not in str(caught.value)
