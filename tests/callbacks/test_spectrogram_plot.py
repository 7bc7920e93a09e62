import math

import pytest
import torch
from matplotlib import pyplot

from tests.helpers import small_representation
from vae2ch.callbacks import spectrogram_plot

BIN = 32  # of the sine


@pytest.fixture
def representation():
    return small_representation()


def sine(representation, amplitude=0.5):
    time = torch.arange(representation.segment) / representation.n_fft
    spectrogram, level = representation(amplitude * torch.sin(2 * math.pi * BIN * time)[None])
    return spectrogram[0], level[0]


def test_decibels_are_relative_to_full_scale_and_limited_from_below(representation):
    (log_magnitude, _), level = sine(representation, amplitude=0.5)
    loudness = spectrogram_plot.decibels(log_magnitude, level, representation.gain)
    assert float(loudness.max()) == pytest.approx(20 * math.log10(0.5), abs=0.2)
    assert float(loudness.min()) >= spectrogram_plot.FLOOR_DB
    silence = spectrogram_plot.decibels(torch.zeros(3, 3), level, representation.gain)
    assert silence.eq(spectrogram_plot.FLOOR_DB).all()


def test_axes_are_in_seconds_and_hertz(representation):
    figure = spectrogram_plot.compare({"original": sine(representation)}, representation)
    image = figure.axes[0].images[0]
    seconds = representation.segment / representation.sample_rate
    assert image.get_extent() == pytest.approx((0, seconds, 0, 8000))
    assert image.origin == "lower"
    assert int(image.get_array().mean(axis=1).argmax()) == BIN


def test_pixels_are_an_rgb_image_and_pyplot_keeps_no_figure(representation):
    pixels = spectrogram_plot.pixels(spectrogram_plot.compare({"a": sine(representation)}, representation))
    assert pixels.dtype == "uint8"
    assert pixels.shape[2] == 3
    assert pixels.std() > 10
    assert pyplot.get_fignums() == []
