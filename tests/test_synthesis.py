import math

import pytest
import torch

from tests.test_representation import OPTIONS, shipped, signals
from vae2ch.metrics import snr
from vae2ch.synthesis import exact, loudest, nearer, synthesise

REPRESENTATION = shipped("16k")
TIME = torch.arange(REPRESENTATION.segment) / REPRESENTATION.sample_rate


def tone(frequency=220.0, partials=8):
    return sum(torch.sin(2 * math.pi * frequency * n * TIME + n) / n for n in range(1, partials + 1))[None]


def amplitude_error(wave, spectrogram):
    """What a sound's amplitudes are off, of theirs."""
    made, true = REPRESENTATION.spectrum(wave).abs(), REPRESENTATION.amplitude(spectrogram[:, 0])
    return torch.linalg.vector_norm(made - true) / torch.linalg.vector_norm(true)


@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_exact_stays_exact(option):
    representation = shipped(option)
    for name, wave in signals(representation.sample_rate).items():
        back = synthesise(representation, representation(wave[None]))[0, : wave.numel()]
        assert snr(wave, back) > 90, (name, float(snr(wave, back)))


def test_silence_stays_silent():
    silence = REPRESENTATION(torch.zeros(2, 5000))
    assert torch.equal(synthesise(REPRESENTATION, silence), torch.zeros_like(REPRESENTATION.inverse(silence)))


def test_bins_that_drift_apart_are_brought_together():
    """A tone whose bins' frequencies are each a little off, always the same way."""
    torch.manual_seed(0)
    spectrogram = REPRESENTATION(tone())
    spectrogram[:, 1] += 0.03 * torch.randn(spectrogram.shape[2])[:, None]
    drifting, together = REPRESENTATION.inverse(spectrogram), synthesise(REPRESENTATION, spectrogram)
    assert amplitude_error(drifting, spectrogram) > 0.3
    assert amplitude_error(together, spectrogram) < 0.1


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("hops", [1, 3, 5, 12, 60])
def test_what_was_analysed_is_told_from_what_was_not(option, hops):
    """However short it is, and wherever its loudest part."""
    torch.manual_seed(0)
    representation = shipped(option)
    spectrogram = representation(torch.randn(3, hops * representation.hop) * torch.tensor([1e-3, 0.1, 1])[:, None])
    amplitude = representation.amplitude(spectrogram[:, 0])
    assert exact(representation, amplitude, representation.integrate(spectrogram[:, 1])).all()
    wrong = spectrogram[:, 1] + 0.05 * torch.randn_like(spectrogram[:, 1])
    assert not exact(representation, amplitude, representation.integrate(wrong)).any()


@pytest.mark.parametrize("place", [0, 1, 300, 512, 9000, -3000, -300, -1])
def test_a_click_is_exact_wherever_it_is(place):
    wave = torch.zeros(1, REPRESENTATION.segment)
    wave[0, place] = 0.5
    assert snr(wave, synthesise(REPRESENTATION, REPRESENTATION(wave)))[0] > 90


def test_the_loudest_frames_are_found():
    amplitude = torch.ones(3, 3, 40)
    amplitude[0, :, 25:33] = 5
    amplitude[1, :, :2] = 5
    amplitude[2, :, -1] = 5
    chosen, whole = loudest(amplitude, edge=2)
    assert chosen[:, 0].tolist() == [23, 0, 28]
    assert chosen.diff(dim=1).eq(1).all()
    assert [numbers[inside].tolist() for numbers, inside in zip(chosen, whole, strict=True)] == [
        list(range(25, 33)),
        list(range(10)),
        list(range(30, 40)),
    ]
    short, inside = loudest(amplitude[..., :5], edge=2)
    assert short.tolist() == [list(range(5))] * 3
    assert inside.all()


def test_an_iteration_goes_beyond_the_amplitude_and_keeps_the_phase():
    spectrum = torch.polar(torch.tensor([1.0, 2.0, 1.0, 0.0]), torch.tensor([0.3, -2.0, 1.0, 0.0]))[None]
    moved = nearer(spectrum, torch.tensor([[2.0, 2.0, 0.0, 0.0]]))
    assert torch.allclose(moved, spectrum * torch.tensor([2.5, 1.0, -0.5, 0.0]))


def test_no_sound_depends_on_its_neighbours():
    """One is exact and summed, the other is not and locked."""
    torch.manual_seed(0)
    spectrogram = REPRESENTATION(torch.cat([tone(), tone(330.0)]))
    spectrogram[1, 1] = (spectrogram[1, 1] + 0.2 * torch.randn_like(spectrogram[1, 1])).clamp(-1, 1)
    both = synthesise(REPRESENTATION, spectrogram)
    for number in (0, 1):
        alone = synthesise(REPRESENTATION, spectrogram[number : number + 1])[0]
        assert snr(alone, both[number]) > 60
    assert snr(tone()[0], both[0]) > 90
