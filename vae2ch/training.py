"""The LightningModule: loss, steps, optimiser and learning-rate schedule of a ``SoundCodec``."""

import itertools
import math

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor, nn

from vae2ch import losses
from vae2ch.codec import CHECKPOINT_KEY, SoundCodec
from vae2ch.config import TrainingConfig
from vae2ch.data import Batch
from vae2ch.errors import InputError
from vae2ch.metrics import active_units
from vae2ch.model import VAE, Posterior

FULL_RATE_FAN_IN = 256  # inputs per output up to which a layer has the full learning rate
FINAL_RATE = 0.02  # learning rate at the end of the run, as a fraction of the full rate
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def training_progress(trainer: lightning.Trainer) -> float:
    """Fraction of the run that is over, by steps or by time, whichever is larger; in [0, 1]."""
    done = trainer.global_step / trainer.estimated_stepping_batches
    for timer in (callback for callback in trainer.callbacks if isinstance(callback, Timer)):
        elapsed, remaining = timer.time_elapsed(), timer.time_remaining()
        if remaining is not None:
            done = max(done, elapsed / (elapsed + remaining))
    return min(1.0, done)


def learning_rate_factor(step: int, progress: float, warmup_steps: int) -> float:
    """Linear warm-up over the first steps, times half a cosine over the progress [0, 1] of the run."""
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    return warmup * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def warmed_up_kl_weight(step: int, weight: float, warmup_steps: int) -> float:
    """Weight of the KL, growing linearly over the first steps."""
    return weight * min(1.0, (step + 1) / max(1, warmup_steps))


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of a step's noise, which thus does not depend on what ran before."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


def fan_in(layer: nn.Module) -> int:
    """Number of inputs that one output of a layer depends on."""
    if isinstance(layer, nn.ConvTranspose2d):  # an output depends on one in stride x stride weights
        return layer.weight[:, 0].numel() // math.prod(layer.stride)
    return layer.weight[0].numel()


def parameter_groups(vae: VAE, learning_rate: float, weight_decay: float) -> list[dict]:
    """Parameters with their learning rate and weight decay, for an optimiser. Biases are not decayed.

    A step of Adam changes all weights by about the same amount, so the output of a layer changes with the number of
    its inputs: above ``FULL_RATE_FAN_IN`` the learning rate is inversely proportional to it (Yang et al. 2022, "Tensor
    programs V"). Otherwise the 32,768 inputs of the latents would undo the PCA initialisation within a few steps.
    """
    layers = sorted((layer for layer in vae.modules() if isinstance(layer, LAYERS)), key=fan_in)
    weights = {id(layer.weight) for layer in layers}
    biases = [parameter for parameter in vae.parameters() if id(parameter) not in weights]
    groups = [{"params": biases, "lr": learning_rate, "weight_decay": 0.0}]
    for inputs, same in itertools.groupby(layers, key=fan_in):
        rate = learning_rate * min(1.0, FULL_RATE_FAN_IN / inputs)
        groups.append({"params": [layer.weight for layer in same], "lr": rate, "weight_decay": weight_decay})
    return groups


class CodecTraining(lightning.LightningModule):
    """Training of a codec on batches of spectrograms; ``seed`` is that of each step's noise.

    The loss is ``magnitude + amplitude_weight * amplitude + frequency_weight * frequency + kl_weight * KL``. The
    first three terms ignore the padding; the KL, averaged over the batch, is summed above the free bits.
    """

    def __init__(self, codec: SoundCodec, config: TrainingConfig, seed: int) -> None:
        super().__init__()
        self.codec, self.config, self.seed = codec, config, seed
        self.validation_posteriors: list[Posterior] = []  # of the current validation
        self.kl_per_latent = torch.zeros(codec.vae.latent_dim)  # at the last validation  [D]

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint[CHECKPOINT_KEY] = self.codec.description()

    def terms(self, predicted: Tensor, target: Tensor, posterior: Posterior, kl_weight: float) -> dict[str, Tensor]:
        """The loss and its terms, scalars, of padded spectrograms [B, 2, F, T]."""
        bins, frames = self.codec.representation.size
        predicted, target = predicted[..., :bins, :frames], target[..., :bins, :frames]
        amplitudes = losses.amplitude(predicted[:, 0]), losses.amplitude(target[:, 0])
        magnitude = losses.log_magnitude_error(predicted[:, 0], target[:, 0])
        amplitude = losses.squared_spectral_convergence(*amplitudes).mean()
        frequency = losses.frequency_error(predicted[:, 1], target[:, 1], log_magnitude=target[:, 0])
        kl = losses.kl_divergence(*posterior)  # [D]
        weighted = self.config.amplitude_weight * amplitude + self.config.frequency_weight * frequency
        loss = magnitude + weighted + kl_weight * losses.free_bits(kl, self.config.free_bits)
        return {"loss": loss, "magnitude": magnitude, "amplitude": amplitude, "frequency": frequency, "kl": kl.sum()}

    def step(self, batch: Batch, stage: str, kl_weight: float) -> tuple[Tensor, Posterior]:
        """Reconstruct a batch and log the terms under ``stage``; ``InputError`` if the loss is not finite."""
        predicted, posterior = self.codec.vae(batch.spectrogram)
        terms = self.terms(predicted, batch.spectrogram, posterior, kl_weight)
        named = {f"{stage}/{name}": term for name, term in terms.items()}
        self.log_dict(named, batch_size=len(batch.wave), on_epoch=stage != "train", on_step=stage == "train")
        check_finite(terms, f"{stage} step {self.global_step}", self.config.learning_rate)
        return terms["loss"], posterior

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(step_seed(self.seed, self.global_step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a training batch; its latents are added to the codec's distribution."""
        weight = warmed_up_kl_weight(self.global_step, self.config.kl_weight, self.config.kl_warmup_steps)
        loss, posterior = self.step(batch, "train", weight)
        self.codec.latents.update(posterior, batch.peak)
        self.log("train/kl_weight", weight)
        self.log("train/learning_rate", self.lr_schedulers().get_last_lr()[0])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss of a validation batch at the final KL weight, so that epochs compare."""
        _, posterior = self.step(batch, "val", self.config.kl_weight)
        self.validation_posteriors.append(posterior)

    def on_validation_epoch_end(self) -> None:
        """Store the KL of each latent on validation segments; log the number of active latents on training segments."""
        posterior = Posterior(*(torch.cat(parts) for parts in zip(*self.validation_posteriors, strict=True)))
        self.validation_posteriors.clear()
        self.kl_per_latent = losses.kl_divergence(*posterior)
        # on training segments, as a small collection may have a single validation segment, which does not vary
        self.log("train/active_units", active_units(self.codec.latents.seen()).float())

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.step(batch, "test", self.config.kl_weight)

    def configure_optimizers(self) -> dict:
        """AdamW (Loshchilov and Hutter 2019) with warm-up and cosine decay over the run."""
        groups = parameter_groups(self.codec.vae, self.config.learning_rate, self.config.weight_decay)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)

        def factor(step: int) -> float:
            # the progress of the first process: with rates of their own, the parameters would diverge
            progress = self.trainer.strategy.broadcast(training_progress(self.trainer))
            return learning_rate_factor(step, progress, self.config.warmup_steps)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None, **_: object
    ) -> None:
        """Clip by the norm of all gradients, and log it."""
        # Lightning's own refuses fused optimisers because of the gradient scaler of fp16, which is not used here
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val or math.inf)
        self.log("train/gradient_norm", norm)


def check_finite(terms: dict[str, Tensor], step: str, learning_rate: float) -> None:
    """Raise ``InputError`` if the loss of a step is NaN or infinite, naming the terms that are."""
    if torch.isfinite(terms["loss"]):
        return
    broken = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
    raise InputError(
        f"{step}: {broken} is not finite; checkpoints, if any, are from before it. "
        f"Lower training.learning_rate ({learning_rate}) or use trainer.precision=32-true"
    )
