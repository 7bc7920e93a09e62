"""The LightningModule: losses, steps, optimizer and schedule of the VAE."""

import itertools
import math
from collections import deque
from typing import NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor, nn

from vae2ch import losses
from vae2ch.data import Batch
from vae2ch.metrics import active_units
from vae2ch.model import VAE, Posterior
from vae2ch.refinement import Weights, refine
from vae2ch.refusal import Refusal
from vae2ch.representation import Representation

FAN_IN = 256  # inputs of a layer up to which it has the full learning rate
SEEN = 100  # batches of which it is remembered where among the latents they lay
KNOWN = 512  # sounds that draws start from
SMOOTHING = 0.4  # of draws: as far from the training sounds as held-out sounds are
QUIET = 0.1  # peak of draws before any sound has been seen
FORMAT = 6  # of the checkpoint: raised when an older one can no longer be read


def budget_spent(trainer: lightning.Trainer) -> float:
    """Share of the run that is over, by steps or by the clock, whichever is further; in [0, 1]."""
    spent = trainer.global_step / trainer.estimated_stepping_batches
    for timer in (callback for callback in trainer.callbacks if isinstance(callback, Timer)):
        elapsed, remaining = timer.time_elapsed(), timer.time_remaining()
        if remaining is not None:
            spent = max(spent, elapsed / (elapsed + remaining))
    return min(1.0, spent)


LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def inputs_of(layer: nn.Module) -> int:
    """How many numbers one output of a layer is summed from."""
    if isinstance(layer, nn.ConvTranspose2d):  # each place of the kernel serves one in stride x stride outputs
        return layer.weight[:, 0].numel() // math.prod(layer.stride)
    return layer.weight[0].numel()


class Seen(NamedTuple):
    """Where a batch of training sounds lies among the latents, and how loud they are.

    Attributes:
        mean: of the posterior  [B, D]
        logvar: natural logarithm of its variance  [B, D]
        peak: largest sample, either way  [B]
    """

    mean: Tensor
    logvar: Tensor
    peak: Tensor


class VAEModule(lightning.LightningModule):
    """Trains a VAE on batches of spectrograms.

    The loss is ``magnitude + amplitude_weight * amplitude + frequency_weight * frequency + kl_weight * KL``:
    the first three look at the unpadded bins and frames; the KL is summed over latents, averaged over the batch.

    Args:
        model: the ``model`` group of the configuration, as a plain dict
        representation: the ``representation`` group
        training: the ``training`` group
        seed: of the weights and of every step's noise
    """

    def __init__(self, *, model: dict, representation: dict, training: dict, seed: int) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.representation = Representation(**representation)
        self.vae = VAE(**self.representation.size._asdict(), **model)
        # training sounds: where they lie among the latents, and their peaks; until some have been seen, from the prior
        prior = torch.Generator().manual_seed(0)
        self.register_buffer("known", torch.randn(KNOWN, self.vae.latent_dim, generator=prior))
        self.register_buffer("peaks", torch.full((KNOWN,), QUIET))
        self.register_buffer("centre", torch.zeros(self.vae.latent_dim))
        self.register_buffer("spread", torch.eye(self.vae.latent_dim))
        self.settings, self.seed = training, seed
        self.seen: deque[Seen] = deque(maxlen=SEEN)  # of the last training batches
        self.held_out: list[Posterior] = []  # of the validation sounds, until the epoch's end
        self.kl_per_latent = torch.zeros(self.vae.latent_dim)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Mark the checkpoint as ours, so that loading another kind of file can be refused by name."""
        checkpoint["vae2ch"] = FORMAT

    def draw(self, count: int, generator: torch.Generator, smoothing: float = SMOOTHING) -> tuple[Tensor, Tensor]:
        """Latents of sounds that nobody made, from where the training sounds lie, and their peaks  [count, D], [count]

        A smoothed bootstrap (Silverman 1986, "Density estimation", section 6.4): the latents of a sound,
        moved at random as the sounds differ, and drawn in so that mean and covariance stay theirs; with
        that sound's peak.

        Args:
            generator: on the CPU, so that a seed means the same everywhere
            smoothing: 0 draws the sounds themselves, 1 from a Gaussian around all of them
        """
        rounds = math.ceil(count / KNOWN)  # every sound once before any twice
        chosen = torch.cat([torch.randperm(KNOWN, generator=generator) for _ in range(rounds)])[:count]
        chosen = chosen.to(self.known.device)
        return self.near(self.known[chosen], generator, smoothing), self.peaks[chosen]

    def near(self, latent: Tensor, generator: torch.Generator, smoothing: float = SMOOTHING) -> Tensor:
        """Latents [B, D] moved at random, as those of the training sounds differ  [B, D]"""
        noise = torch.randn(latent.shape, generator=generator).to(latent)
        away = latent - self.centre
        return self.centre + math.sqrt(1 - smoothing**2) * away + smoothing * noise @ self.spread.T

    def settle(self) -> None:
        """Remember the training sounds seen last: some, their mean among the latents, and the covariance's root."""
        # on the CPU, as Apple's GPUs have no float64
        mean, logvar, peak = (torch.cat(parts).cpu().double() for parts in zip(*self.seen, strict=True))
        covariance = mean.T.cov(correction=0) + logvar.exp().mean(dim=0).diag()  # of the aggregate posterior
        newest = (-1 - torch.arange(KNOWN)) % len(mean)
        self.known.copy_(mean[newest])
        self.peaks.copy_(peak[newest])
        self.centre.copy_(mean.mean(dim=0))
        self.spread.copy_(torch.linalg.cholesky(covariance))

    def reconstruct(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms [B, 2, F, T] through the model, each at its own level, from refined latents; the same shape."""
        levelled, level = self.representation.levelled(spectrogram)
        weights = Weights(self.settings["amplitude_weight"], self.settings["kl_weight"])
        latent = refine(self.vae, levelled, self.vae.encode(levelled), weights)
        return self.representation.scaled(self.vae.decode(latent), level)

    # -- loss ---------------------------------------------------------------------------------

    def kl_weight(self) -> float:
        """Grows linearly over the first steps, so that the latents carry something before they pay."""
        ramp = (self.global_step + 1) / max(1, self.settings["kl_warmup_steps"])
        return self.settings["kl_weight"] * min(1.0, ramp)

    def terms(self, predicted: Tensor, target: Tensor, posterior: Posterior) -> dict[str, Tensor]:
        """The loss and its parts; whatever was padded is left out.

        Args:
            predicted, target: spectrograms  [B, 2, F, T], padded or not
            posterior: of the latents
        """
        bins, frames = self.representation.size
        predicted, target = predicted[..., :bins, :frames], target[..., :bins, :frames]
        magnitude = losses.magnitude_error(predicted[:, 0], target[:, 0])
        amplitude = losses.amplitude_error(losses.amplitude(predicted[:, 0]), losses.amplitude(target[:, 0])).mean()
        frequency = losses.frequency_error(predicted[:, 1], target[:, 1], magnitude=target[:, 0])
        kl = losses.kl_divergence(*posterior)  # [D]
        # held-out losses compare over the whole run, so they don't warm up
        weight = self.kl_weight() if self.training else self.settings["kl_weight"]
        cost = weight * losses.free_bits(kl, self.settings["free_bits"])
        heard = self.settings["amplitude_weight"] * amplitude + self.settings["frequency_weight"] * frequency
        loss = magnitude + heard + cost
        return {
            "loss": loss,
            "magnitude": magnitude,
            "amplitude": amplitude,
            "frequency": frequency,
            "kl": kl.sum(),
        }

    def step(self, batch: Batch, stage: str) -> tuple[Tensor, Posterior]:
        """Reconstruct a batch, log the terms under ``stage``, return the loss."""
        predicted, posterior = self.vae(batch.spectrogram)
        terms = self.terms(predicted, batch.spectrogram, posterior)
        named = {f"{stage}/{name}": term for name, term in terms.items()}
        self.log_dict(named, batch_size=len(batch.wave), on_epoch=stage != "train", on_step=stage == "train")
        if not torch.isfinite(terms["loss"]):
            broken = ", ".join(name for name, term in terms.items() if not torch.isfinite(term))
            raise Refusal(
                f"{stage} step {self.global_step}: {broken} is not finite; checkpoints, if any, are from before it. "
                f"Lower training.learning_rate ({self.settings['learning_rate']}) or use trainer.precision=32-true"
            )
        return terms["loss"], posterior

    # -- hooks --------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw the step's noise from (seed, step, rank), so that it does not depend on what ran before."""
        state = np.random.SeedSequence([self.seed, self.global_step, self.global_rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the norm of all gradients together, and log it."""
        # Lightning's own refuses fused optimizers, for the sake of fp16's scaler, which is not used here
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val or math.inf)
        self.log("train/gradient_norm", norm)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        loss, posterior = self.step(batch, "train")
        self.seen.append(Seen(posterior.mean.detach(), posterior.logvar.detach(), batch.peak))
        self.log("train/kl_weight", self.kl_weight())
        self.log("train/learning_rate", self.lr_schedulers().get_last_lr()[0])
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss of a held-out batch, through the posterior's mean."""
        _, posterior = self.step(batch, "val")
        self.held_out.append(posterior)

    def on_validation_epoch_end(self) -> None:
        """The KL of the held-out sounds; where the training sounds lie, and how many latents tell them apart."""
        posterior = Posterior(*(torch.cat(parts) for parts in zip(*self.held_out, strict=True)))
        self.held_out.clear()
        self.kl_per_latent = losses.kl_divergence(*posterior)
        if self.seen:
            self.settle()
            # of the training sounds: of a few files, a single segment may be held out, and does not vary
            self.log("train/active_units", active_units(torch.cat([seen.mean for seen in self.seen])).float())

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss of a held-out batch."""
        self.step(batch, "test")

    # -- optimizer ----------------------------------------------------------------------------

    def schedule(self, step: int) -> float:
        """Learning rate factor: linear warm-up, then half a cosine over the run's budget."""
        warm = min(1.0, (step + 1) / max(1, self.settings["warmup_steps"]))
        # one clock for all ranks: with rates of their own their weights would drift apart
        spent = self.trainer.strategy.broadcast(budget_spent(self.trainer))
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * spent)))

    def configure_optimizers(self) -> dict:
        """AdamW (Loshchilov and Hutter 2019); no decay on biases.

        A step of Adam moves every weight alike, so a layer's output moves with the number of its
        inputs: beyond ``FAN_IN`` of them its rate falls in proportion (Yang et al. 2022, "Tensor
        programs V", maximal update parametrisation). Without this the 32,768 inputs of the latents
        would undo their start within a few steps.
        """
        layers = [layer for layer in self.vae.modules() if isinstance(layer, LAYERS)]
        matrices = {id(layer.weight) for layer in layers}
        others = [weight for weight in self.vae.parameters() if id(weight) not in matrices]
        rate, decay = self.settings["learning_rate"], self.settings["weight_decay"]
        groups = [{"params": others, "lr": rate, "weight_decay": 0.0}]
        for fan_in, alike in itertools.groupby(sorted(layers, key=inputs_of), key=inputs_of):
            weights = [layer.weight for layer in alike]
            groups.append({"params": weights, "lr": rate * min(1.0, FAN_IN / fan_in), "weight_decay": decay})
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
