import math

import pytest
import torch

from tests.test_synthesis import REPRESENTATION, TIME
from vae2ch.locking import group_delay, locked_phase, partials, peaks


def delays(frame, offset):
    """Of the bins of a frame, from whose centre a click is so many samples away  [F]"""
    hop, click = REPRESENTATION.hop, torch.zeros(1, REPRESENTATION.segment)
    click[0, frame % REPRESENTATION.size.frames * hop + offset] = 1
    amplitude = REPRESENTATION.spectrum(click).abs().movedim(-1, 0)
    return group_delay(amplitude, REPRESENTATION.n_fft, hop)[frame, 0]


def test_a_bin_belongs_to_the_peak_that_it_rises_to():
    column = torch.tensor([0.0, 1.0, 3.0, 2.0, 1.0, 2.0, 5.0, 4.0, 0.5, 0.5])
    assert peaks(column).flatten().tolist() == [2, 2, 2, 2, 2, 6, 6, 6, 6, 6]
    ramp = torch.arange(513.0).expand(2, 3, -1)
    assert peaks(ramp).eq(512).all()  # however far


@pytest.mark.parametrize("offset", [-450, -350, -250, -40, 0, 150, 250, 400, 500])
def test_the_group_delay_finds_a_click(offset):
    """Where a click lies within a frame is known, and every bin of the frame must say so."""
    assert torch.allclose(delays(20, offset), torch.tensor(float(offset)), atol=0.5 if abs(offset) <= 250 else 60)


@pytest.mark.parametrize(("frame", "offset"), [(0, 0), (0, 200), (-1, -90)])
def test_the_group_delay_finds_a_click_at_the_ends(frame, offset):
    assert torch.allclose(delays(frame, offset), torch.tensor(float(offset)), atol=0.5)


@pytest.mark.parametrize("above", [-0.5, -0.3, 0.0, 0.1, 0.49])
def test_a_partial_is_found_between_bins(above):
    """One in the middle, and a constant, which is on the first bin."""
    count = REPRESENTATION.n_fft
    partial = torch.polar(torch.ones(count), 2 * math.pi * (100 + above) / count * torch.arange(count))
    amplitude = torch.fft.fft(torch.hann_window(count) * partial)[None, None, : count // 2 + 1].abs()
    assert partials(amplitude, count, 100)[0, 0, 100] == pytest.approx(200 / count * above, abs=2e-4)
    constant = torch.fft.rfft(torch.hann_window(count))[None, None].abs()
    assert partials(constant, count, 100)[0, 0, 0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_what_sets_in_together_stays_together(seed):
    """Partials that are struck at once, of which no frequency is known up to the frame in which they set in."""
    torch.manual_seed(seed)
    since = TIME - 5200 / REPRESENTATION.sample_rate
    ringing = sum(torch.cos(2 * math.pi * frequency * since) for frequency in (310, 720, 1300, 2450, 3600))
    struck = torch.where(since >= 0, ringing * torch.exp(-20 * since), 0.0)[None]
    spectrogram = REPRESENTATION(struck)
    first = 5200 // REPRESENTATION.hop + 1  # the frame after that
    spectrogram[..., 1, :, :first] = 2 * torch.rand(spectrogram.shape[2], first) - 1
    phase = locked_phase(REPRESENTATION, REPRESENTATION.amplitude(spectrogram[:, 0]), spectrogram[:, 1])
    truth = REPRESENTATION.spectrum(struck)
    together = (torch.polar(truth.abs(), math.pi * phase) * truth.conj())[..., first : first + 8].sum(dim=(1, 2)).abs()
    assert together > 0.8 * truth[..., first : first + 8].abs().square().sum()


@pytest.mark.parametrize("error", [0.0, 0.02])
@pytest.mark.parametrize("frequency", [500.0, 1003.0])
def test_a_partial_has_half_of_an_error_of_its_frequency(frequency, error):
    """It is given at the peak alone, and the amplitudes know it: half-way between is how fast the phase turns."""
    wave = torch.sin(2 * math.pi * frequency * TIME + 1)[None]
    amplitude, truth = REPRESENTATION.amplitude(REPRESENTATION(wave)[:, 0]), REPRESENTATION.spectrum(wave)
    given = torch.zeros_like(amplitude)
    at_peak = (peaks(amplitude.mT) == torch.arange(amplitude.shape[1])).mT
    given[at_peak] = REPRESENTATION(wave)[:, 1][at_peak] + error
    phase = locked_phase(REPRESENTATION, amplitude, given)
    loud = amplitude[0, :, 60] > 0.1 * amplitude.max()
    away = (torch.polar(truth.abs(), math.pi * phase) * truth.conj())[0, loud, 10:-10]
    turned = torch.angle(away[:, 1:] * away[:, :-1].conj()) / math.pi
    assert torch.allclose(turned, torch.full_like(turned, error / 2), atol=1e-3)
    together = away.sum(dim=0).abs() / away.abs().sum(dim=0)
    assert together.min() > 0.99


def test_what_is_given_and_what_is_told_meet_on_the_short_way():
    """The same frequency, given as an angle and as one a whole turn less, makes the same sound."""
    wave = torch.sin(2 * math.pi * 1000.0 * TIME)[None]
    amplitude = REPRESENTATION.amplitude(REPRESENTATION(wave)[:, 0])
    once, again = (
        locked_phase(REPRESENTATION, amplitude, torch.full_like(amplitude, frequency)) for frequency in (0.9, -1.1)
    )
    assert torch.cos(math.pi * (once - again)).min() > 0.999
