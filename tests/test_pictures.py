import io

import torch
from matplotlib.image import imread

from vae2ch import pictures
from vae2ch.representation import Representation


def test_a_picture_has_any_name():
    representation = Representation(sample_rate=16000, n_fft=64, hop=16, frames=8, gain=1e4)
    spectrogram = representation(torch.randn(1, representation.segment))[0]
    names = ("kick $_$.wav", "$\\frac{.wav", "a {b} %s.wav")
    for name in names:
        file = io.BytesIO()
        pictures.compare({"original": spectrogram, "reconstruction": spectrogram}, representation, name).savefig(file)
        file.seek(0)
        assert imread(file).std() > 0.1
