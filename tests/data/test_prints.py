"""Prints of sounds: frequencies of partials, levels and lengths of known signals."""

import numpy as np
import pytest
import torch

from tests.data.helpers import RATE, sound
from vae2ch.data.near_copies import recordings_of
from vae2ch.data.prints import NO_PEAK, RANGE_DB, SLOTS, analysis, prints_of


def decaying(hertz, seconds=0.5, decay=4.0):
    now = np.arange(int(seconds * RATE)) / RATE
    return np.exp(-decay * now) * sum(np.sin(2 * np.pi * each * now) for each in hertz)


@pytest.mark.parametrize("hertz", [(100.3,), (440.0, 881.7), (261.63, 1318.51, 3001.4)])
def test_peaks_are_the_frequencies_of_the_partials_to_a_tenth_of_a_bin(hertz):
    found = prints_of([sound(decaying(hertz))], RATE).peaks[0]
    places = np.sort(found[found != NO_PEAK])
    np.testing.assert_allclose(places, np.array(hertz) * analysis(RATE)[0] / RATE, atol=0.1)


def test_levels_of_the_slots_follow_the_decay():
    levels = prints_of([sound(decaying([500.0], decay=d)) for d in (0.1, 4.0)], RATE).levels[:, -SLOTS:]
    # the window alone lowers both in the same way, and a decay of 4 / s is 20 log10(e) 4 dB in a second
    seconds = analysis(RATE)[0] / RATE / SLOTS
    steps = np.diff(levels[1] - levels[0])[levels[1, 1:] < RANGE_DB]
    np.testing.assert_allclose(steps, 20 * np.log10(np.e) * 3.9 * seconds, atol=0.2)


def test_lengths_leave_out_silence_at_both_ends():
    tone = decaying([440.0], seconds=1.0, decay=0.5)
    wave = np.concatenate([np.zeros(RATE), tone, np.zeros(RATE // 2)])
    found = prints_of([sound(wave)], RATE)
    assert found.seconds[0] == pytest.approx(2.5)
    assert found.sounding_seconds[0] == pytest.approx(1.0, abs=0.002)
    assert found.onsets[0] == pytest.approx(RATE, abs=30)


def test_the_search_leaves_the_number_of_threads():
    before = torch.get_num_threads()
    recordings_of([sound(decaying([hertz]), digest=str(hertz)) for hertz in (300.0, 400.0)], RATE)
    assert torch.get_num_threads() == before
