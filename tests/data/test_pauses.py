"""What of a sound is a pause: nothing at the floor of the sound, and nothing of a sound that fades or is noise."""

import numpy as np
import pytest
import soundfile

from tests.data.helpers import sound
from vae2ch.data import pauses
from vae2ch.data.dataset import SoundDataset
from vae2ch.data.pauses import FRAME_SAMPLES, audible_frames
from vae2ch.data.scan import scan

RATE = 16000
SEGMENT = RATE // 2
REST = 10  # seconds after the note


def time(seconds):
    return np.arange(int(seconds * RATE)) / RATE


def tone(seconds=1.0, hertz=300.0, peak=0.5, decay=3.0):
    """A decaying tone; ``decay`` in nepers per second."""
    return peak * np.sin(2 * np.pi * hertz * time(seconds)) * np.exp(-decay * time(seconds))


def hiss(seconds=REST, peak=0.0018, seed=0):
    return peak * np.random.default_rng(seed).uniform(-1, 1, int(seconds * RATE))


def hum(peak=0.003, hertz=50.0):
    return peak * np.sin(2 * np.pi * hertz * time(REST))


def rounded(wave, bits):
    """Samples rounded to so many bits."""
    return np.round(wave * 2 ** (bits - 1)) / 2 ** (bits - 1)


def noise_of_rounding(bits):
    """A note and its pause as a format of few bits has them, with dither that moves the last one."""
    dither = 2.0 ** (1 - bits) * (hiss(REST + 1, 0.5, seed=1) + hiss(REST + 1, 0.5, seed=2))
    return rounded(np.concatenate([tone(), np.zeros(REST * RATE)]) + dither, bits)


def decaying(seconds, fast, share, slow):
    """A note of a piano: a fast decay to a ``share``, and a slow one after it; time constants in seconds."""
    envelope = (1 - share) * np.exp(-time(seconds) / fast) + share * np.exp(-time(seconds) / slow)
    return 0.5 * np.sin(2 * np.pi * 220 * time(seconds)) * envelope


def hits(count, gap, peak=0.5):
    """Drum hits, so many seconds apart."""
    return np.concatenate([hiss(gap, peak, seed) * np.exp(-time(gap) / 0.05) for seed in range(count)])


def dataset(wave):
    return SoundDataset([sound(np.asarray(wave, np.float32))], SEGMENT)


FLOORS = {
    "digital silence": np.zeros(REST * RATE),
    "offset": np.full(REST * RATE, 0.01),
    "negative offset": np.full(REST * RATE, -0.2),
    "wandering offset": 0.01 + 0.002 * np.sin(time(REST)),
    "hiss of a preamplifier": hiss(),
    "louder hiss": hiss(peak=0.005),
    "Gaussian hiss": np.random.default_rng(0).normal(0, 0.001, REST * RATE),
    "last bit of 24": hiss(peak=1.5 / 2**23),
    "low hum": hum(),
    "hum of 100 Hz": hum(0.008, 100.0),
    "hum and hiss": hum(0.002) + hiss(peak=0.001),
    "one floor, then another": np.concatenate([hiss(REST / 2), hiss(REST / 2, 0.0009)]),
    "floors of several levels": np.concatenate([hiss(REST / 3, peak) for peak in (0.006, 0.0015, 0.003)]),
    "a floor, then digital silence": np.concatenate([hiss(REST / 2), np.zeros(REST * RATE // 2)]),
    "an offset that decays": 0.1 * np.exp(-time(REST) / 2) + hiss(),
    "an offset that changes at the beginning": 0.05 + hiss(),
    "a short pause": hiss(2),
}
SHAPED = {
    "offset throughout": np.concatenate([tone(), np.zeros(REST * RATE)]) + 0.01,
    "hiss throughout": np.concatenate([tone(), np.zeros(REST * RATE)]) + hiss(REST + 1),
    "a quiet note": 0.05 * np.concatenate([tone(), hiss(peak=0.005)]),
    "8 bits": noise_of_rounding(8),
    "16 bits": noise_of_rounding(16),
}


@pytest.mark.parametrize("wave", [*(np.concatenate([tone(), rest]) for rest in FLOORS.values()), *SHAPED.values()])
def test_what_follows_a_note_is_skipped_and_counted(wave):
    found = dataset(wave)
    assert [start for _, start in found.excerpts] in ([0], [0, SEGMENT])
    end = found.excerpts[-1][1] + SEGMENT
    assert found.skipped == {"a.wav": wave.size - end}
    assert end <= 1.1 * RATE


def test_a_floor_may_be_an_eighth_of_a_sound():
    wave = np.concatenate([*(tone(0.5, hertz, decay=2) for hertz in range(200, 1600, 10)), np.zeros(REST * RATE)])
    assert dataset(wave + hiss(REST + 70)).skipped["a.wav"] == pytest.approx(REST * RATE, abs=SEGMENT)


@pytest.mark.parametrize("peak", [0.5, 0.1, 0.05])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_noise_of_8_bits_is_a_pause_however_quiet_the_note_is(peak, rate, tmp_path):
    wave = np.concatenate([tone(peak=peak), np.zeros(REST * RATE)])
    dither = np.random.default_rng(0).triangular(-1, 0, 1, wave.size) / 2**7
    soundfile.write(tmp_path / "a.wav", rounded(wave + dither, 8), rate, subtype="PCM_U8")
    found = SoundDataset(scan(tmp_path, RATE).sounds, SEGMENT)
    assert found.skipped["a.wav"] > RATE / rate * REST * RATE - 2 * SEGMENT
    assert found.excerpts[0][1] == 0


@pytest.mark.parametrize("floor", [np.zeros(REST * RATE), hiss(), hum(), np.full(REST * RATE, 0.01)])
def test_a_sound_may_begin_with_a_pause_and_have_one_within(floor):
    wave = np.concatenate([floor, tone(), floor, tone(hertz=400)])
    starts = [start / RATE for _, start in dataset(wave).excerpts]
    assert 2 <= len(starts) <= 5
    assert all(REST - 0.1 <= start <= REST + 1 or start >= 2 * REST + 0.9 for start in starts)
    assert starts[0] == pytest.approx(REST, abs=0.1)


RAIN = {
    "rain": hiss(REST, 0.1),
    "quiet rain": hiss(REST, 0.001),
    "Gaussian rain": np.random.default_rng(0).normal(0, 0.1, REST * RATE),
    "surf": np.convolve(hiss(REST, 0.3), np.ones(64) / 8, "same"),
    "rain and a click": np.concatenate([hiss(5, 0.01), np.full(30, 0.9), hiss(5, 0.01, seed=1)]),
    "rain and clicks": np.concatenate([part for seed in range(4) for part in (hiss(2, 0.005, seed), np.ones(20))]),
    "a hum alone": hum(0.3),
    "fast clicks over hiss": hiss() + 0.9 * (np.arange(REST * RATE) % 1500 < 300) * hiss(peak=1, seed=1),
}
FADES = {
    "a plain decay": tone(10, decay=0.6),
    "piano": decaying(8, 0.5, 0.05, 4.0),
    "grand piano": decaying(10, 0.4, 0.03, 8.0),
    "cymbal": decaying(15, 0.3, 0.025, 12.0),
    "piano over hiss": decaying(8, 0.5, 0.05, 4.0) + hiss(8, 0.0005),
    "fade out": hiss(10, 0.3) * np.linspace(1, 0, 10 * RATE),
    "fade out in decibels": hiss(10, 0.3) * 10 ** (-50 / 20 * time(10) / 10),
    "fade in in decibels": (hiss(10, 0.3) * 10 ** (-50 / 20 * time(10) / 10))[::-1],
}


LOUD = np.concatenate([tone(0.5, hertz) for hertz in (300, 450, 200, 600)])
SOFT = {
    "a melody": [tone(0.5, hertz, decay=2) for hertz in (220, 330, 262, 392, 294) * 4],
    "one note, repeated": [tone(0.25, 330, decay=1)] * 40,
    "a pad": [sum(np.sin(2 * np.pi * hertz * time(REST)) for hertz in (220, 277, 330)) / 6],
    "a pad over hiss": [sum(np.sin(2 * np.pi * hertz * time(REST)) for hertz in (220, 277, 330)) / 6 + hiss(peak=0.02)],
    "drum hits": [hits(20, 0.5)],
    "waves": [hiss(REST, 0.5) * (1 + 0.9 * np.sin(2 * np.pi * time(REST) / 3))],
}
SOFT = {name: np.concatenate([LOUD, 0.04 * np.concatenate(parts)]) for name, parts in SOFT.items()}


@pytest.mark.parametrize("wave", [*RAIN.values(), *FADES.values(), *SOFT.values()], ids=[*RAIN, *FADES, *SOFT])
def test_noise_and_what_fades_is_kept_whole(wave):
    assert dataset(wave).skipped["a.wav"] < 0.1 * SEGMENT  # a remainder


@pytest.mark.parametrize("gap", [0.5, 3.0])
@pytest.mark.parametrize("peak", [0.5, 0.25])
def test_all_hits_are_kept_and_the_room_between_them_is_not(gap, peak):
    wave = hits(8, gap, peak) + hiss(8 * gap, 0.002)
    found = dataset(wave)
    covered = np.zeros(wave.size, bool)
    for _, start in found.excerpts:
        covered[start : start + SEGMENT] = True
    for onset in range(0, wave.size, int(gap * RATE)):
        assert covered[onset : onset + RATE // 10].all()
    assert found.skipped["a.wav"] == (~covered).sum()
    assert covered.mean() == pytest.approx(0.5 / gap, abs=0.1)


@pytest.mark.parametrize("frames", [1, 7, 64, 10_000])
def test_frames_do_not_depend_on_the_blocks_in_which_a_sound_is_read(frames, monkeypatch):
    waves = [SHAPED["hiss throughout"], FADES["piano"], hits(4, 0.7), tone(0.01), np.zeros(1000)]
    waves = [np.asarray(wave, np.float32) for wave in waves]
    expected = [audible_frames(wave) for wave in waves]
    monkeypatch.setattr(pauses, "BLOCK_FRAMES", frames)
    for wave, audible in zip(waves, expected, strict=True):
        assert np.array_equal(audible_frames(wave), audible)
        assert audible.size == -(-wave.size // FRAME_SAMPLES)


def test_a_constant_has_no_audible_frame_and_is_one_segment():
    assert not audible_frames(np.full(5000, 0.1, np.float32)).any()
    assert [start for _, start in dataset(np.full(5000, 0.1)).excerpts] == [0]
