"""From a folder of sounds to batches of padded two-channel spectrograms."""

from vae2ch.data.module import Batch, SoundDataModule

__all__ = ["Batch", "SoundDataModule"]
