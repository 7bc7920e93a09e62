import math

import pytest
import torch

from tests.test_synthesis import REPRESENTATION, TIME, tone
from vae2ch.locking import bins_above, group_delay, locked_phase, peaks


def test_a_bin_belongs_to_the_peak_that_it_rises_to():
    column = torch.tensor([0.0, 1.0, 3.0, 2.0, 1.0, 2.0, 5.0, 4.0, 0.5, 0.5])
    assert peaks(column).flatten().tolist() == [2, 2, 2, 2, 2, 6, 6, 6, 6, 6]
    ramp = torch.arange(513.0).expand(2, 3, -1)
    assert peaks(ramp).eq(512).all()  # however far


@pytest.mark.parametrize(("frame", "offset"), [(20, -250), (20, -40), (20, 0), (20, 150), (0, 0), (0, 200), (-1, -90)])
def test_the_group_delay_finds_a_click(frame, offset):
    """Where a click lies within a frame is known, and every bin of the frame must say so, at the ends as well."""
    centre = frame % REPRESENTATION.size.frames * REPRESENTATION.hop
    click = torch.zeros(1, REPRESENTATION.segment)
    click[0, centre + offset] = 1
    amplitude = REPRESENTATION.spectrum(click).abs()
    found = group_delay(amplitude.movedim(-1, 0), REPRESENTATION.n_fft, REPRESENTATION.hop)[frame, 0]
    assert torch.allclose(found, torch.full_like(found, float(offset)), atol=0.5)


@pytest.mark.parametrize("above", [-0.5, -0.3, 0.0, 0.1, 0.49])
def test_a_partial_is_found_between_bins(above):
    """One in the middle, and a constant, which is on the first bin."""
    count = REPRESENTATION.n_fft
    partial = torch.polar(torch.ones(count), 2 * math.pi * (100 + above) / count * torch.arange(count))
    amplitude = torch.fft.fft(torch.hann_window(count) * partial)[None, : count // 2 + 1].abs()
    assert bins_above(amplitude)[0, 100] == pytest.approx(above, abs=1e-3)
    constant = torch.fft.rfft(torch.hann_window(count))[None].abs()
    assert bins_above(constant)[0, 0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_what_sets_in_together_stays_together(seed):
    """Partials that are struck at once, of which no frequency is known up to the frame in which they set in."""
    torch.manual_seed(seed)
    since = TIME - 5200 / REPRESENTATION.sample_rate
    partials = sum(torch.cos(2 * math.pi * frequency * since) for frequency in (310, 720, 1300, 2450, 3600))
    struck = torch.where(since >= 0, partials * torch.exp(-20 * since), 0.0)[None]
    spectrogram = REPRESENTATION(struck)
    first = 5200 // REPRESENTATION.hop + 1  # the frame after that
    spectrogram[..., 1, :, :first] = 2 * torch.rand(spectrogram.shape[2], first) - 1
    phase = locked_phase(REPRESENTATION, REPRESENTATION.amplitude(spectrogram[:, 0]), spectrogram[:, 1])
    truth = REPRESENTATION.spectrum(struck)
    together = (torch.polar(truth.abs(), math.pi * phase) * truth.conj())[..., first : first + 8].sum(dim=(1, 2)).abs()
    assert together > 0.8 * truth[..., first : first + 8].abs().square().sum()


def test_locked_phases_are_the_true_ones_around_a_steady_partial():
    """From a frequency that is known at the peaks alone."""
    spectrogram = REPRESENTATION(tone(partials=3))
    amplitude = REPRESENTATION.amplitude(spectrogram[:, 0])
    led = torch.zeros_like(spectrogram[:, 1])
    at_peak = (peaks(amplitude.mT) == torch.arange(amplitude.shape[1])).mT
    led[at_peak] = spectrogram[:, 1][at_peak]
    phase = locked_phase(REPRESENTATION, amplitude, led)
    truth = REPRESENTATION.spectrum(tone(partials=3)).angle() / math.pi
    near = amplitude[..., 4:-4] > 0.1 * amplitude.max()
    error = 1 - torch.cos(math.pi * (phase - truth)[..., 4:-4][near])
    assert error.mean() < 0.02
