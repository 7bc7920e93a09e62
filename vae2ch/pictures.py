"""Spectrograms as pictures, with axes in Hz and seconds."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vae2ch.representation import SCALE, Representation

# drawn into memory: no display is needed, none is looked for
matplotlib.use("Agg")

ROWS = (("magnitude (dB re full scale)", "magma"), ("IF (half-turns per hop)", "twilight"))
FLOOR = -90.0  # dB


def decibels(magnitude: np.ndarray, gain: float) -> np.ndarray:
    """Channel 0 as dB below a full-scale sine."""
    return 20 * np.log10(np.maximum(np.expm1(SCALE * magnitude) / gain, 10 ** (FLOOR / 20)))


def compare(columns: dict[str, Tensor], representation: Representation, title: str) -> Figure:
    """Both channels of several spectrograms [2, F, T], side by side."""
    figure = Figure(figsize=(4.2 * len(columns), 6.4), layout="constrained", dpi=80)
    figure.suptitle(title, parse_math=False)  # a file's name may have dollars
    axes = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    size, rate = representation.size, representation.sample_rate
    extent = (0, (size.frames - 1) * representation.hop / rate, 0, rate / 2)
    for column, (name, spectrogram) in enumerate(columns.items()):
        magnitude, frequency = spectrogram[:, : size.bins, : size.frames].float().cpu().numpy()
        level = decibels(magnitude, representation.gain)
        # where nothing sounds the frequency is noise: show it as bright as the magnitude is
        faint = np.clip((level - FLOOR) / 50, 0, 1)
        images = (
            axes[0, column].imshow(level, vmin=FLOOR, vmax=0, cmap=ROWS[0][1], **placed(extent)),
            axes[1, column].imshow(frequency, vmin=-1, vmax=1, cmap=ROWS[1][1], alpha=faint, **placed(extent)),
        )
        axes[1, column].set_facecolor("black")
        axes[0, column].set_title(name)
        axes[1, column].set_xlabel("time (s)")
    for row, (label, _) in enumerate(ROWS):
        axes[row, 0].set_ylabel("frequency (Hz)")
        figure.colorbar(images[row], ax=axes[row], label=label)
    return figure


def placed(extent: tuple[float, float, float, float]) -> dict:
    """Arguments of ``imshow`` for a spectrogram with its first bin at the bottom."""
    return {"extent": extent, "origin": "lower", "aspect": "auto", "interpolation": "nearest"}
