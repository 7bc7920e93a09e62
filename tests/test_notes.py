import numpy as np
import pytest
import torch

from vae2ch import audio, notes
from vae2ch.metrics import pitch
from vae2ch.refusal import Refusal


def test_the_set_is_large_and_varied():
    catalogue = list(notes.catalogue(0))
    assert len(catalogue) == len(set(catalogue)) >= 300
    assert len({instrument for instrument, _, _ in catalogue}) >= 6
    midis = {midi for _, midi, _ in catalogue}
    assert max(midis) - min(midis) >= 30
    assert {loudness for _, _, loudness in catalogue} == {"pp", "mf", "ff"}


@pytest.mark.parametrize("instrument", notes.INSTRUMENTS)
@pytest.mark.parametrize("midi", [45, 63, 81])
def test_notes_have_the_pitch_that_their_name_says(instrument, midi):
    wave = audio.resample(notes.render(instrument, midi, "mf", seed=3), notes.SAMPLE_RATE, 16000)
    assert abs(pitch(torch.from_numpy(wave), 16000).note - midi) < 0.5


def test_rendering_is_seeded_and_loudness_is_loudness():
    notes_of = [notes.render("brass", 60, "mf", seed) for seed in (0, 0, 1)]
    assert np.array_equal(notes_of[0], notes_of[1])
    assert not np.array_equal(notes_of[0], notes_of[2])
    for loudness, peak in notes.LOUDNESS.items():
        assert np.abs(notes.render("organ", 50, loudness, seed=0)).max() == pytest.approx(peak)


def test_louder_is_brighter():
    def centroid(loudness):
        power = np.abs(np.fft.rfft(notes.render("plucked", 50, loudness, seed=0))) ** 2
        return (power * np.arange(power.size)).sum() / power.sum()

    assert centroid("pp") < centroid("mf") < centroid("ff")


def test_instruments_differ():
    spectra = {}
    for instrument in notes.INSTRUMENTS:
        power = np.abs(np.fft.rfft(notes.render(instrument, 57, "mf", seed=0), 16384))
        spectra[instrument] = power / np.linalg.norm(power)
    for one in spectra:
        for other in spectra:
            assert one == other or spectra[one] @ spectra[other] < 0.98


def test_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "PITCHES", 1)
    root = tmp_path / "notes"
    assert notes.write(root) == len(notes.INSTRUMENTS) * 3
    assert notes.write(root) == 0
    audio.write(root / "mine.wav", np.ones(100, np.float32), 16000)
    with pytest.raises(Refusal, match=r"mine\.wav.*add data=folder"):
        notes.write(root)
    name = sorted(path.name for path in root.iterdir())[0]
    instrument, midi, pitch_name, _ = name.removesuffix(".wav").split("-")
    assert instrument in notes.INSTRUMENTS
    assert notes.note_name(int(midi)) == pitch_name
    assert notes.note_name(69) == "A4"
