"""A two-channel spectrogram VAE for small collections of sounds."""

__version__ = "0.1.0"
