"""Training of a codec with Lightning: loss, steps, optimiser, schedule, and what a checkpoint needs to go on."""

from vae2ch.training.module import CodecTraining

__all__ = ["CodecTraining"]
