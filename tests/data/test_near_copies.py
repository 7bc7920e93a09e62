"""Which sounds are one recording: the same take in another form, and no other take."""

import itertools
import re

import numpy as np
import pytest
import soundfile
import soxr

from tests.data.helpers import RATE, data_module, sound
from vae2ch.data.near_copies import recordings_of
from vae2ch.data.scan import scan
from vae2ch.data.split import SPLITS, split_by_recording

FILE_RATE = 44100


def time(seconds, rate=FILE_RATE):
    return np.arange(int(seconds * rate)) / rate


def note(hertz, seed=0, partials=12, seconds=1.0, decay=3.0, rate=FILE_RATE):
    """A decaying note, whose partials have random phases."""
    random, now = np.random.default_rng(seed), time(seconds, rate)
    numbers = [n for n in range(1, partials + 1) if n * hertz < 0.45 * rate]
    wave = sum(n**-1.2 * np.sin(2 * np.pi * n * hertz * now + random.uniform(0, 2 * np.pi)) for n in numbers)
    return 0.4 * wave / np.abs(wave).max() * np.exp(-decay * now)


def hit(seed, seconds=0.4, decay=0.08, centre=1000.0, octaves=2.0, rate=FILE_RATE):
    """A drum hit: noise of a band, with an envelope; another take for each seed."""
    noise = np.random.default_rng(seed).normal(0, 1, int(seconds * rate))
    hertz = np.maximum(np.fft.rfftfreq(noise.size, 1 / rate), 1)
    band = np.exp(-((np.log2(hertz / centre) / octaves) ** 2) / 2)
    wave = np.fft.irfft(band * np.fft.rfft(noise), noise.size)
    return 0.5 * wave / np.abs(wave).max() * np.exp(-time(seconds, rate)[: noise.size] / decay)


SOURCES = {
    "bass": note(55, 1),
    "piano": note(220, 2),
    "flute": note(880, 3, partials=4),
    "long": note(150, 4, seconds=3.0, decay=0.5),
    "sine": note(300, 5, partials=1),
    "snare": hit(6),
    "tom": hit(7, 0.6, 0.15, 200.0, 0.5),
    "open hat": hit(9, 0.5, 0.15, 3000.0, 1.0),
    "rain": np.random.default_rng(8).uniform(-0.2, 0.2, FILE_RATE),
}


def write(path, wave, rate=FILE_RATE, **options):
    """Write ``wave``, which has 44.1 kHz, at a rate."""
    soundfile.write(path, wave if rate == FILE_RATE else soxr.resample(wave, FILE_RATE, rate), rate, **options)


def zeros(seconds):
    return np.zeros(int(seconds * FILE_RATE))


FORMS = {  # suffix, change, and how it is written
    "24 bits": ("wav", None, {"subtype": "PCM_24"}),
    "8 bits": ("wav", None, {"subtype": "PCM_U8"}),
    "u-law": ("au", None, {"subtype": "ULAW"}),
    "48 kHz": ("flac", None, {"rate": 48000}),
    "22 kHz": ("wav", None, {"rate": 22050}),
    "11 kHz": ("aiff", None, {"rate": 11025}),
    "MP3": ("mp3", None, {"format": "MP3", "subtype": "MPEG_LAYER_III"}),
    "Ogg": ("ogg", None, {"format": "OGG", "subtype": "VORBIS"}),
    "Opus": ("opus", None, {"rate": 48000, "format": "OGG", "subtype": "OPUS"}),
    "-20 dB": ("wav", lambda wave: 0.1 * wave, {}),
    "inverted": ("wav", lambda wave: -wave, {}),
    "5 ms cut": ("wav", lambda wave: wave[int(0.005 * FILE_RATE) :], {}),
    "50 ms of silence": ("wav", lambda wave: np.concatenate([zeros(0.05), wave]), {}),
    "a second of silence": ("wav", lambda wave: np.concatenate([zeros(0.5), wave, zeros(0.5)]), {}),
    "stereo": ("wav", lambda wave: np.stack([wave, 0.7 * wave], 1), {}),
    "faded out": ("wav", lambda wave: wave * np.minimum(1, np.arange(wave.size)[::-1] / (0.1 * FILE_RATE)), {}),
    "offset": ("wav", lambda wave: 0.9 * wave + 0.02, {}),
}


def recordings(folder):
    """Names of files, by recording."""
    found = scan(folder, RATE).sounds
    recording_of = recordings_of(found, RATE)
    groups = {}
    for each in found:
        groups.setdefault(recording_of[each.digest], set()).add(each.name)
    return sorted(groups.values(), key=sorted)


def count(waves):
    """Number of different recordings of waves [S] at 16 kHz."""
    sounds = [sound(np.asarray(wave, np.float32), f"{n}.wav", f"{n:04d}") for n, wave in enumerate(waves)]
    return len(set(recordings_of(sounds, RATE).values()))


@pytest.mark.parametrize("form", FORMS)
def test_a_take_in_another_form_is_one_recording(form, tmp_path):
    suffix, change, options = FORMS[form]
    for name, wave in SOURCES.items():
        write(tmp_path / f"{name}.wav", wave)
        write(tmp_path / f"{name} ({form}).{suffix}", change(wave) if change else wave, **options)
    expected = [{f"{name}.wav", f"{name} ({form}).{suffix}"} for name in SOURCES]
    assert recordings(tmp_path) == sorted(expected, key=sorted)


def test_a_short_hit_with_silence_before_it_is_the_same():
    wave = hit(9, 0.2, 0.04, 5000.0, 1.0, RATE)
    assert count([wave, np.concatenate([np.zeros(RATE // 20), wave]), hit(10, 0.2, 0.04, 5000.0, 1.0, RATE)]) == 2


def test_all_forms_of_a_take_are_one_recording_and_in_one_split(tmp_path):
    names = ("piano", "snare", "rain")
    for name, (form, (suffix, change, options)) in itertools.product(names, FORMS.items()):
        write(tmp_path / f"{name} {form}.{suffix}", change(SOURCES[name]) if change else SOURCES[name], **options)
    module = data_module(tmp_path)
    collection = module.collection
    files = 3 * len(FORMS)
    text = f"{files} files, {{}} s: 3 different recordings, {files - 3} of them copies or near copies"
    assert re.search(text.format(r"[\d.]+"), module.table())
    found, assignments = collection.sounds, set()
    for seed in range(10):
        splits = split_by_recording(found, validation=0.1, test=0.1, seed=seed, recording_of=collection.recording_of)
        parts = [{each.name.split()[0] for each in splits[split]} for split in SPLITS]
        assert sum(map(len, parts)) == 3
        assignments.add(tuple(map(min, parts)))
    assert len(assignments) > 1


def struck(seed):
    """A drum with a body of one pitch, and other noise for each seed."""
    body = 0.4 * np.exp(-time(0.4, RATE) / 0.1) * np.sin(2 * np.pi * 190 * time(0.4, RATE))
    return hit(seed, centre=2500.0, octaves=1.0, rate=RATE) + body


OTHERS = {
    "semitones": lambda n: note(220 * 2 ** (n / 12), rate=RATE),
    "sines a sixteenth of a tone apart": lambda n: note(220 * 2 ** (n / 96), partials=1, rate=RATE),
    "other phases": lambda n: note(196, n, rate=RATE),
    "other partials": lambda n: note(147, n, partials=6 + n % 12, rate=RATE),
    "kit of noises": lambda n: hit(n, rate=RATE),
    "toms": lambda n: hit(n, 0.5, 0.15, 150.0, 0.4, RATE),
    "hats": lambda n: hit(n, 0.15, 0.03, 5000.0, 0.7, RATE),
    "clicks": lambda n: hit(n, 0.05, 0.01, rate=RATE),
    "takes of a snare": struck,
    "rain": lambda n: np.random.default_rng(n).uniform(-0.2, 0.2, 2 * RATE),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_takes_are_other_recordings(kind):
    number = 24 if kind in ("semitones", "other phases", "other partials", "rain") else 60
    assert count([OTHERS[kind](n) for n in range(number)]) == number


def test_a_series_of_slightly_different_tones_does_not_become_one():
    """Neighbours are nearly equal, and the ends are not."""
    now = time(1.0, RATE)
    decays = [np.sin(2 * np.pi * 220 * now) * np.exp(-now / tau) for tau in np.geomspace(0.1, 2, 20)]
    brightness = [
        sum(np.exp(-n / cutoff) * np.sin(2 * np.pi * 220 * n * now) for n in range(1, 13)) * np.exp(-3 * now)
        for cutoff in np.geomspace(0.5, 20, 20)
    ]
    assert count(decays) >= 5
    assert count(brightness) >= 5


def test_loops_that_begin_alike_are_different():
    """The same kick drum, with other hits after it."""
    now = time(0.5, RATE)
    kick = 0.6 * np.sin(2 * np.pi * (60 * now + 3 * (1 - np.exp(-now / 0.03)))) * np.exp(-now / 0.1)
    loops = []
    for seed in range(12):
        loop = np.zeros(2 * RATE)
        loop[: kick.size] += kick
        for beat in range(2, 8):
            part = hit(100 * seed + beat, 0.25, 0.06, 800.0, rate=RATE)
            loop[beat * RATE // 4 :][: part.size] += part
        loops.append(loop)
    assert count(loops) == len(loops)


@pytest.mark.parametrize("wave", [np.ones(1), np.zeros(2000), np.full(2000, 0.1), np.eye(1, 500, 7)[0]])
def test_odd_sounds_can_be_compared(wave):
    assert count([wave, wave, note(220, rate=RATE)]) in (2, 3)
    assert recordings_of([], RATE) == {}
    assert count([wave]) == 1
