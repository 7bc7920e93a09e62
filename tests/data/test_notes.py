import numpy as np
import pytest
import torch

from vae2ch import audio
from vae2ch.data import notes
from vae2ch.errors import InputError
from vae2ch.metrics import pitch

pytestmark = pytest.mark.slow  # renders many notes

NAMES = [notes.file_name(*note) for note in notes.catalogue(0)]


def test_the_catalogue_is_large_and_varied():
    catalogue = list(notes.catalogue(0))
    assert len(catalogue) == len(set(catalogue)) >= 300
    assert len({instrument for instrument, _, _ in catalogue}) >= 6
    midis = {midi for _, midi, _ in catalogue}
    assert max(midis) - min(midis) >= 30
    assert {loudness for _, _, loudness in catalogue} == {"pp", "mf", "ff"}


def test_file_names_have_the_midi_number_and_the_pitch_name():
    assert notes.file_name("brass", 60, "mf") == "brass-060-C4-mf.wav"
    assert notes.file_name("bell", 69, "pp") == "bell-069-A4-pp.wav"
    assert notes.file_name("bar", 70, "ff") == "bar-070-A#4-ff.wav"
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("instrument", notes.INSTRUMENTS)
@pytest.mark.parametrize("midi", [45, 63, 81])
def test_notes_have_the_pitch_of_their_name(instrument, midi):
    wave = audio.resample(notes.render(instrument, midi, "mf", seed=3), notes.SAMPLE_RATE, 16000)
    assert abs(pitch(torch.from_numpy(wave), 16000).median - midi) < 0.5


def test_rendering_is_determined_by_the_seed():
    first, same, other = (notes.render("brass", 60, "mf", seed) for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("instrument", notes.INSTRUMENTS)
def test_loudness_is_the_peak(instrument):
    for loudness, peak in notes.LOUDNESS.items():
        assert np.abs(notes.render(instrument, 50, loudness, seed=0)).max() == pytest.approx(peak)


def test_louder_notes_are_brighter():
    def centroid(loudness):
        power = np.abs(np.fft.rfft(notes.render("plucked", 50, loudness, seed=0))) ** 2
        return (power * np.arange(power.size)).sum() / power.sum()

    assert centroid("pp") < centroid("mf") < centroid("ff")


def test_instruments_have_different_spectra():
    spectra = {}
    for instrument in notes.INSTRUMENTS:
        power = np.abs(np.fft.rfft(notes.render(instrument, 57, "mf", seed=0), 16384))
        spectra[instrument] = power / np.linalg.norm(power)
    similar = [(a, b) for a in spectra for b in spectra if a < b and spectra[a] @ spectra[b] >= 0.98]
    assert similar == []


def test_only_missing_notes_are_written(tmp_path):
    missing, present = NAMES[:3], NAMES[3:]
    for name in present:
        (tmp_path / name).write_text("already there")
    notes.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert all((tmp_path / name).read_text() == "already there" for name in present)
    for note, name in zip(list(notes.catalogue(0))[:3], missing, strict=True):
        wave, rate, _ = audio.decode(tmp_path / name)
        assert rate == notes.SAMPLE_RATE
        assert np.abs(wave - notes.render(*note, seed=0)).max() < 1e-4


@pytest.mark.parametrize("name", ["mine.wav", "sub/mine.wav", "song.als", "letter.txt"])
def test_a_folder_with_anything_else_is_refused(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"holds {name.split('/')[0]}, .*add data=folder"):
        notes.write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "notes").write_text("a file in its place")
    with pytest.raises(InputError, match="cannot write"):
        notes.write(tmp_path / "notes")
