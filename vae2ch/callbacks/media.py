"""Audio, images and histograms in TensorBoard, during training and at its end."""

import time

import lightning
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from vae2ch.callbacks.followed import followed_sounds, spectrogram_of, tensorboard_writer, versions
from vae2ch.callbacks.spectrogram_plot import compare, pixels
from vae2ch.codec import SoundCodec
from vae2ch.training import CodecTraining

PLOTTED = ("original", "reconstruction")
MAX_TIME_FRACTION = 0.03  # of the training time; logging may take longer than an epoch of a small collection


class TensorBoardMedia(lightning.Callback):
    """Audio and images of validation segments, a new sample, and the KL of each latent."""

    def __init__(self, sounds: int, seed: int) -> None:
        self.sounds, self.seed = sounds, seed  # seed of variations and samples
        self.start, self.spent = 0.0, 0.0  # time (s) at which training began, seconds spent logging since
        self.logged_step = -1

    def on_train_start(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        self.start, self.spent = time.monotonic(), 0.0

    def on_validation_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Log the KL of each latent, and the sounds if they have not taken too much of the time."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        begin = time.monotonic()
        if self.spent <= MAX_TIME_FRACTION * (begin - self.start):
            self.log_sounds(trainer, module)
            self.spent += time.monotonic() - begin
        with tensorboard_writer(trainer) as writer:
            if writer:
                writer.add_histogram("val/kl_per_latent", module.kl_per_latent, trainer.global_step)

    def on_train_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Log the sounds of the final model."""
        if trainer.is_global_zero and self.logged_step != trainer.global_step:
            module.eval()  # after training Lightning leaves it in training mode
            self.log_sounds(trainer, module)

    def log_sounds(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Log audio and images of the validation sounds, and one new sample."""
        self.logged_step = trainer.global_step
        with tensorboard_writer(trainer) as writer:
            if writer:
                self.write_sounds(writer, trainer, module.codec)

    def write_sounds(self, writer: SummaryWriter, trainer: lightning.Trainer, codec: SoundCodec) -> None:
        """Write the sounds to TensorBoard."""
        step = trainer.global_step
        for label, item in followed_sounds(trainer, "validation", self.sounds).items():
            made = versions(codec, item, self.seed)
            for name, wave in made.items():
                writer.add_audio(f"{label}/{name}", playable(wave), step, codec.sample_rate)
            columns = {name: spectrogram_of(codec.representation, made[name]) for name in PLOTTED}
            image = pixels(compare(columns, codec.representation))
            writer.add_image(label, image, step, dataformats="HWC")
        new = codec.sample(1, seed=self.seed)[0].cpu()
        writer.add_audio("new sounds/sample", playable(new), step, codec.sample_rate)


def playable(wave: Tensor) -> Tensor:
    """Samples as TensorBoard takes them: in [-1, 1], at least two  [1, S]"""
    return functional.pad(wave, (0, max(0, 2 - len(wave)))).clamp(-1, 1)[None]
