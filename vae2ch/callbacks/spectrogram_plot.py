"""Images of spectrograms, with axes in Hz and seconds."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from vae2ch.representation import Representation, expand

FLOOR_DB = -90.0  # re full scale
OPAQUE_DB = 50.0  # above the floor, from which the frequency is drawn opaque
LABELS = ("magnitude (dB re full scale)", "inst. frequency (half-turns per hop)")


def decibels(log_magnitude: Tensor, level: Tensor, gain: float) -> Tensor:
    """Channel 0 in dB re full scale, at least ``FLOOR_DB``; same shape."""
    amplitude = expand(log_magnitude) * level / gain
    return 20 * amplitude.clamp(min=10 ** (FLOOR_DB / 20)).log10()


def compare(columns: dict[str, tuple[Tensor, Tensor]], representation: Representation) -> Figure:
    """Figure of both channels of several spectrograms [2, F, T] with levels [] side by side.

    It has no name of a file, as the font has only some scripts.
    """
    figure = Figure(figsize=(4.2 * len(columns), 6.4), layout="constrained", dpi=80)
    axes = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    seconds = (representation.size.frames - 1) * representation.hop / representation.sample_rate
    options = {"extent": (0, seconds, 0, representation.sample_rate / 2), "origin": "lower", "aspect": "auto"}
    for (magnitude_axis, frequency_axis), (name, (spectrogram, level)) in zip(axes.T, columns.items(), strict=True):
        log_magnitude, frequency = spectrogram.float().cpu()
        loudness = decibels(log_magnitude, level.cpu(), representation.gain)
        opacity = ((loudness - FLOOR_DB) / OPAQUE_DB).clamp(0, 1).numpy()  # the phase of a silent bin is noise
        images = (
            magnitude_axis.imshow(loudness.numpy(), vmin=FLOOR_DB, vmax=0, cmap="magma", **options),
            frequency_axis.imshow(frequency.numpy(), vmin=-1, vmax=1, cmap="twilight", alpha=opacity, **options),
        )
        frequency_axis.set_facecolor("black")
        magnitude_axis.set_title(name)
        frequency_axis.set_xlabel("time (s)")
    for row, label in enumerate(LABELS):
        axes[row, 0].set_ylabel("frequency (Hz)")
        figure.colorbar(images[row], ax=axes[row], label=label)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """RGB image of a figure, uint8  [height, width, 3]"""
    canvas = FigureCanvasAgg(figure)  # draws into memory; no display is needed
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
