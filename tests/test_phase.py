import math

import pytest
import torch

from tests.helpers import REPRESENTATIONS, shipped_representation, signals
from vae2ch.metrics import snr
from vae2ch.phase import (
    griffin_lim,
    group_delay,
    impose_magnitude,
    is_consistent,
    lock_phases,
    loudest_frames,
    peak_frequencies,
    reference_bins,
    region_peaks,
    synthesise,
)

REPRESENTATION = shipped_representation("16k")
TIME = torch.arange(REPRESENTATION.segment) / REPRESENTATION.sample_rate


def tone(frequency=220.0, partials=8):
    return sum(torch.sin(2 * math.pi * frequency * n * TIME + n) / n for n in range(1, partials + 1))[None]


def magnitude_error(wave, magnitude):
    """Relative error of the STFT magnitudes of a waveform."""
    found = REPRESENTATION.stft(wave).abs()
    return torch.linalg.vector_norm(found - magnitude) / torch.linalg.vector_norm(magnitude)


def click_delays(frame, offset):
    """Group delay of the bins of a frame, for a click so many samples from its centre  [F]"""
    hop, click = REPRESENTATION.hop, torch.zeros(1, REPRESENTATION.segment)
    click[0, frame % REPRESENTATION.size.frames * hop + offset] = 1
    magnitude = REPRESENTATION.stft(click).abs().movedim(-1, 0)
    return group_delay(magnitude, REPRESENTATION.n_fft, hop)[frame, 0]


# -- from magnitudes ------------------------------------------------------------------------------


def test_each_bin_belongs_to_the_peak_uphill():
    column = torch.tensor([0.0, 1.0, 3.0, 2.0, 1.0, 2.0, 5.0, 4.0, 0.5, 0.5])
    assert region_peaks(column).tolist() == [2, 2, 2, 2, 2, 6, 6, 6, 6, 6]
    ramp = torch.arange(513.0).expand(2, 3, -1)
    assert region_peaks(ramp).eq(512).all()


@pytest.mark.parametrize("offset", [-450, -350, -250, -40, 0, 150, 250, 400, 500])
def test_group_delay_is_the_position_of_a_click(offset):
    expected = torch.tensor(float(offset))
    assert torch.allclose(click_delays(20, offset), expected, atol=0.5 if abs(offset) <= 250 else 60)


@pytest.mark.parametrize(("frame", "offset"), [(0, 0), (0, 200), (-1, -90)])
def test_group_delay_is_exact_in_the_first_and_last_frame(frame, offset):
    assert torch.allclose(click_delays(frame, offset), torch.tensor(float(offset)), atol=0.5)


@pytest.mark.parametrize("above", [-0.5, -0.3, 0.0, 0.1, 0.49])
def test_peak_frequency_of_a_partial_between_two_bins(above):
    count = REPRESENTATION.n_fft
    partial = torch.polar(torch.ones(count), 2 * math.pi * (100 + above) / count * torch.arange(count))
    magnitude = torch.fft.fft(torch.hann_window(count) * partial)[None, None, : count // 2 + 1].abs()
    assert peak_frequencies(magnitude, count, 100)[0, 0, 100] == pytest.approx(200 / count * above, abs=2e-4)


def test_peak_frequency_of_a_constant_is_zero():
    count = REPRESENTATION.n_fft
    constant = torch.fft.rfft(torch.hann_window(count))[None, None].abs()
    assert peak_frequencies(constant, count, 100)[0, 0, 0] == 0


def test_bins_are_locked_to_their_peak_or_at_an_onset_to_the_loudest_bin():
    first = [0.0, 1, 4, 1, 0, 0, 0]
    second = [0.0, 1, 4, 1, 0, 2, 0]  # the peak at 5 is an onset, and softer than that at 2
    third = [0.0, 1, 4, 1, 0, 2, 0]
    fourth = [0.0, 1, 4, 1, 1, 9, 1]  # the peak at 5 is an onset again, and the loudest bin itself
    magnitude = torch.tensor([first, second, third, fourth])[:, None]
    assert reference_bins(magnitude)[1:, 0].tolist() == [
        [2, 2, 2, 2, 2, 2, 2],
        [2, 2, 2, 2, 5, 5, 5],
        [2, 2, 2, 2, 5, 5, 5],
    ]


def test_all_peaks_of_the_first_frame_are_onsets():
    magnitude = torch.tensor([0.0, 1, 4, 1, 0, 2, 0]).expand(2, 1, -1)
    assert reference_bins(magnitude)[0, 0].tolist() == [2] * 7


@pytest.mark.parametrize("seed", range(3))
def test_partials_with_a_common_onset_stay_aligned(seed):
    """Their frequencies are noise up to the frame of the onset."""
    torch.manual_seed(seed)
    since = TIME - 5200 / REPRESENTATION.sample_rate
    ringing = sum(torch.cos(2 * math.pi * frequency * since) for frequency in (310, 720, 1300, 2450, 3600))
    struck = torch.where(since >= 0, ringing * torch.exp(-20 * since), 0.0)[None]
    spectrogram, _ = REPRESENTATION(struck)
    first = 5200 // REPRESENTATION.hop + 1  # the first frame whose centre is after the onset
    spectrogram[..., 1, :, :first] = 2 * torch.rand(spectrogram.shape[2], first) - 1
    phase = lock_phases(REPRESENTATION, REPRESENTATION.magnitude(spectrogram[:, 0]), spectrogram[:, 1])
    truth = REPRESENTATION.stft(struck)
    aligned = (torch.polar(truth.abs(), math.pi * phase) * truth.conj())[..., first : first + 8].sum(dim=(1, 2)).abs()
    assert aligned > 0.8 * truth[..., first : first + 8].abs().square().sum()


@pytest.mark.parametrize("error", [0.0, 0.02])
@pytest.mark.parametrize("frequency", [500.0, 1003.0])
def test_locked_phases_advance_by_the_mean_of_both_frequencies(frequency, error):
    """Decoded with an error at the peak, zero elsewhere, and estimated without error: half of the error remains."""
    wave = torch.sin(2 * math.pi * frequency * TIME + 1)[None]
    analysed, truth = REPRESENTATION(wave).spectrogram, REPRESENTATION.stft(wave)
    magnitude = REPRESENTATION.magnitude(analysed[:, 0])
    decoded = torch.zeros_like(magnitude)
    at_peak = (region_peaks(magnitude.mT) == torch.arange(magnitude.shape[1])).mT
    decoded[at_peak] = analysed[:, 1][at_peak] + error
    phase = lock_phases(REPRESENTATION, magnitude, decoded)
    loud = magnitude[0, :, 60] > 0.1 * magnitude.max()
    difference = (torch.polar(truth.abs(), math.pi * phase) * truth.conj())[0, loud, 10:-10]
    advance = torch.angle(difference[:, 1:] * difference[:, :-1].conj()) / math.pi
    assert torch.allclose(advance, torch.full_like(advance, error / 2), atol=1e-3)
    coherence = difference.sum(dim=0).abs() / difference.abs().sum(dim=0)
    assert coherence.min() > 0.99


def test_the_mean_frequency_is_taken_along_the_shorter_arc():
    """Frequencies that differ by a whole turn are the same, so their phases are."""
    wave = torch.sin(2 * math.pi * 1000.0 * TIME)[None]
    magnitude = REPRESENTATION.magnitude(REPRESENTATION(wave).spectrogram[:, 0])
    first, second = (
        lock_phases(REPRESENTATION, magnitude, torch.full_like(magnitude, frequency)) for frequency in (0.9, -1.1)
    )
    assert torch.cos(math.pi * (first - second)).min() > 0.999


# -- consistency ----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", REPRESENTATIONS)
@pytest.mark.parametrize("hops", [1, 3, 5, 12, 60])
def test_an_analysed_sound_is_consistent_and_a_disturbed_one_is_not(option, hops):
    representation = shipped_representation(option)
    levels = torch.tensor([1e-3, 0.1, 1])[:, None]
    log_magnitude, frequency = representation(torch.randn(3, hops * representation.hop) * levels).spectrogram.unbind(1)
    magnitude = representation.magnitude(log_magnitude)
    assert is_consistent(representation, magnitude, representation.integrate(frequency)).all()
    disturbed = frequency + 0.05 * torch.randn_like(frequency)
    assert not is_consistent(representation, magnitude, representation.integrate(disturbed)).any()


def test_loudest_frames_are_those_with_the_most_energy():
    magnitude = torch.ones(3, 3, 40)
    magnitude[0, :, 25:33] = 5
    magnitude[1, :, :2] = 5
    magnitude[2, :, -1] = 5
    chosen, complete = loudest_frames(magnitude, margin=2)
    assert chosen[:, 0].tolist() == [23, 0, 28]
    assert chosen.diff(dim=1).eq(1).all()
    assert [frames[inside].tolist() for frames, inside in zip(chosen, complete, strict=True)] == [
        list(range(25, 33)),
        list(range(10)),
        list(range(30, 40)),
    ]
    short, inside = loudest_frames(magnitude[..., :5], margin=2)
    assert short.tolist() == [list(range(5))] * 3
    assert inside.all()


# -- Griffin-Lim ----------------------------------------------------------------------------------


def test_imposed_magnitudes_keep_the_phase():
    spectrum = torch.polar(torch.tensor([1.0, 2.0, 1.0, 0.0]), torch.tensor([0.3, -2.0, 1.0, 0.0]))[None]
    magnitude = torch.tensor([[2.0, 2.0, 0.0, 0.0]])
    assert torch.allclose(impose_magnitude(spectrum, magnitude), spectrum * torch.tensor([2.0, 1.0, 0.0, 0.0]))


def test_griffin_lim_without_iterations_is_the_inverse_stft():
    wave = tone()
    spectrum = REPRESENTATION.stft(wave)
    found = griffin_lim(REPRESENTATION, spectrum.abs(), spectrum.angle() / math.pi, iterations=0)
    assert snr(wave, found)[0] > 100


def test_griffin_lim_keeps_a_consistent_spectrum():
    wave = tone()
    spectrum = REPRESENTATION.stft(wave)
    for options in ({}, {"momentum": 0.0}):
        found = griffin_lim(REPRESENTATION, spectrum.abs(), spectrum.angle() / math.pi, **options)
        assert snr(wave, found)[0] > 90, options


def test_griffin_lim_lowers_the_error_in_each_iteration():
    """Guaranteed without momentum (Griffin and Lim 1984)."""
    magnitude = REPRESENTATION.stft(tone()).abs()
    phase = 2 * torch.rand_like(magnitude) - 1
    waves = [griffin_lim(REPRESENTATION, magnitude, phase, iterations=n, momentum=0.0) for n in range(6)]
    errors = [float(magnitude_error(wave, magnitude)) for wave in waves]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.7 * errors[0]


def test_griffin_lim_agrees_with_torchaudio():
    """With a long silence at both ends, where torchaudio pads in another way."""
    from torchaudio.functional import griffinlim

    wave = tone() * ((TIME > 0.8) & (TIME < 1.2))
    magnitude = REPRESENTATION.stft(wave).abs()
    for momentum in (0.0, 0.9):
        found = griffin_lim(REPRESENTATION, magnitude, torch.zeros_like(magnitude), iterations=4, momentum=momentum)
        expected = griffinlim(
            magnitude,
            window=REPRESENTATION.window,
            n_fft=REPRESENTATION.n_fft,
            hop_length=REPRESENTATION.hop,
            win_length=REPRESENTATION.n_fft,
            power=1.0,
            n_iter=4,
            momentum=momentum,
            length=wave.shape[-1],
            rand_init=False,
        )
        assert snr(expected[0], found[0]) > 40, momentum


def test_momentum_lowers_the_error_faster():
    magnitude = REPRESENTATION.stft(tone()).abs()
    phase = 2 * torch.rand_like(magnitude) - 1
    plain, fast = (
        griffin_lim(REPRESENTATION, magnitude, phase, iterations=20, momentum=momentum) for momentum in (0.0, 0.99)
    )
    assert magnitude_error(fast, magnitude) < 0.9 * magnitude_error(plain, magnitude)


# -- synthesis ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", REPRESENTATIONS)
def test_an_analysed_sound_is_synthesised_exactly(option):
    representation = shipped_representation(option)
    for name, wave in signals(representation.sample_rate).items():
        back = synthesise(representation, *representation(wave[None]))[0, : wave.numel()]
        assert snr(wave, back) > 90, (name, float(snr(wave, back)))


@pytest.mark.parametrize("place", [0, 1, 300, 512, 9000, -3000, -300, -1])
def test_a_click_anywhere_is_synthesised_exactly(place):
    wave = torch.zeros(1, REPRESENTATION.segment)
    wave[0, place] = 0.5
    assert snr(wave, synthesise(REPRESENTATION, *REPRESENTATION(wave)))[0] > 90


def test_silence_stays_silent():
    assert synthesise(REPRESENTATION, *REPRESENTATION(torch.zeros(2, 5000))).eq(0).all()


def test_synthesis_is_linear_in_the_level():
    spectrogram, level = REPRESENTATION(tone())
    spectrogram[:, 1] = 0.3
    once, twice = (synthesise(REPRESENTATION, spectrogram, factor * level) for factor in (1, 2))
    assert torch.equal(twice, 2 * once)


def test_phase_locking_keeps_the_bins_of_a_partial_from_cancelling():
    """Each bin's frequency has a small constant error."""
    spectrogram, level = REPRESENTATION(tone())
    spectrogram[:, 1] += 0.03 * torch.randn(spectrogram.shape[2])[:, None]
    magnitude = level * REPRESENTATION.magnitude(spectrogram[:, 0])
    summed, locked = (
        REPRESENTATION.inverse(spectrogram, level),
        synthesise(REPRESENTATION, spectrogram, level),
    )
    assert magnitude_error(summed, magnitude) > 0.3
    assert magnitude_error(locked, magnitude) < 0.1


def test_sounds_of_a_batch_are_independent():
    """One is consistent and exact, the other is not and its phases are locked."""
    waves = torch.cat([tone(), tone(330.0)])
    spectrogram, level = REPRESENTATION(waves)
    spectrogram[1, 1] = (spectrogram[1, 1] + 0.2 * torch.randn_like(spectrogram[1, 1])).clamp(-1, 1)
    both = synthesise(REPRESENTATION, spectrogram, level)
    for number in (0, 1):
        alone = synthesise(REPRESENTATION, spectrogram[number : number + 1], level[number : number + 1])[0]
        assert snr(alone, both[number]) > 60
    assert snr(waves[0], both[0]) > 90
