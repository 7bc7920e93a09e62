"""The LightningModule: steps, optimiser and state of the training of a ``SoundCodec``."""

import math

import lightning
import numpy as np
import torch
from torch import Tensor

from vae2ch.codec import CHECKPOINT_KEY, SoundCodec
from vae2ch.config import TrainingConfig
from vae2ch.data import Batch
from vae2ch.errors import TrainingError
from vae2ch.metrics import active_units
from vae2ch.model import Posterior
from vae2ch.terminal import say
from vae2ch.training.optimiser import build_optimiser, parameter_groups, with_current_rates
from vae2ch.training.resume_point import resume_point, skip_rest_of_epoch, write_counters
from vae2ch.training.schedule import (
    SCHEDULE_KEY,
    Beginning,
    learning_rate_factor,
    peak_of_extension,
    schedule_state,
    share_of_run,
    training_progress,
    warmed_up_kl_weight,
)
from vae2ch.training.terms import SegmentTerms, batch_terms, joined, segment_terms

MAX_SKIPPED_STEPS = 10  # in a row, after which the training ends


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of a step's random numbers, which thus do not depend on what ran before."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])


class CodecTraining(lightning.LightningModule):
    """Training of a codec on batches of spectrograms; ``seed`` is that of each step's noise.

    Several processes train as one would on their batches together: noise, latents, terms and the decision to leave out
    a step are those of all segments. Axes: B segments of this process, N of all, D latents.
    """

    def __init__(self, codec: SoundCodec, config: TrainingConfig, seed: int) -> None:
        super().__init__()
        self.codec, self.config, self.seed = codec, config, seed
        self.start = ""  # what the initial weights were
        self.held_out: list[tuple[Tensor, SegmentTerms]] = []  # indices and terms, of the validation or test
        self.kl_per_latent = torch.zeros(codec.vae.latent_dim)  # at the last validation  [D]
        self.terms: dict[str, Tensor] = {}  # of the current training step
        self.skipped_steps = 0  # in a row, up to the last one
        self.beginning = Beginning()  # of the learning-rate schedule
        self.extended = False  # whether the schedule begins anew where a checkpoint is loaded
        self.skip_rest_of_epoch = False  # whether training goes on with the epoch after that of the checkpoint

    # -- state --------------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add the codec's description, the validation loss, and the counters from which a resumed run goes on."""
        checkpoint[CHECKPOINT_KEY] = self.codec.description() | {"start": self.start}
        if (loss := self.trainer.callback_metrics.get("val/loss")) is not None:
            checkpoint[CHECKPOINT_KEY]["validation_loss"] = float(loss)
        checkpoint[SCHEDULE_KEY] = schedule_state(self.trainer, self.beginning)
        write_counters(checkpoint["loops"]["fit_loop"], resume_point(self.trainer))

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Let learning rates, weight decay and limits that were changed for a resumed run have an effect."""
        if "optimizer_states" not in checkpoint:
            return
        self.start = checkpoint[CHECKPOINT_KEY].get("start", "")
        if self.skip_rest_of_epoch:
            skip_rest_of_epoch(checkpoint["loops"]["fit_loop"])
        self.beginning = Beginning(**checkpoint[SCHEDULE_KEY]["now" if self.extended else "beginning"])
        groups = parameter_groups(self.codec.vae, self.config)
        checkpoint["optimizer_states"] = [with_current_rates(state, groups) for state in checkpoint["optimizer_states"]]
        for schedule in checkpoint["lr_schedulers"]:
            schedule["base_lrs"] = [group["lr"] for group in groups]

    # -- training -----------------------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(step_seed(self.seed, self.global_step, self.global_rank))  # of dropout

    def noise(self, count: int) -> Tensor:
        """Standard normal noise for ``count`` segments of this process, the same on every device  [B, D]"""
        rank, ranks = self.global_rank, self.trainer.world_size
        generator = torch.Generator().manual_seed(step_seed(self.seed, self.global_step))
        noise = torch.randn(count * ranks, self.codec.vae.latent_dim, generator=generator)
        return noise[rank::ranks].to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a training batch."""
        weight = warmed_up_kl_weight(self.global_step, self.config.kl_weight, self.config.kl_warmup_steps)
        segments, self.posterior = self.forward_terms(batch, self.noise(len(batch.index)), self.kept_latents(batch))
        average_kl = self.trainer.strategy.reduce(segments.kl.detach().mean(dim=0), reduce_op="mean")
        self.terms = batch_terms(segments, self.config, weight, average_kl)
        self.batch = batch
        self.log_dict({f"train/{name}": term for name, term in self.terms.items()}, sync_dist=True)
        self.log("train/kl_weight", weight)
        self.log("train/learning_rate", self.lr_schedulers().get_last_lr()[0])
        return self.terms["loss"]

    def kept_latents(self, batch: Batch) -> Tensor | None:
        """1 where a latent of a segment is kept: in three of four only the core; None: all  [B, D]"""
        if self.config.core_latents is None:
            return None
        # the processes have the segments of the whole batch in turn, as of the noise
        number = torch.arange(len(batch.index)) * self.trainer.world_size + self.global_rank
        kept = torch.ones(len(batch.index), self.codec.vae.latent_dim)
        kept[number % 4 > 0, self.config.core_latents :] = 0
        return kept.to(self.device)

    def forward_terms(
        self, batch: Batch, noise: Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[SegmentTerms, Posterior]:
        """Terms of the reconstructed segments, without the padding, and their posterior."""
        predicted, posterior = self.codec.vae(batch.spectrogram, noise, kept)
        bins, frames = self.codec.representation.size
        terms = segment_terms(predicted[..., :bins, :frames], batch.spectrogram[..., :bins, :frames], posterior)
        return terms if kept is None else terms._replace(kl=terms.kl * kept), posterior

    def configure_optimizers(self) -> dict:
        """The optimiser, with warm-up and cosine decay over the run."""
        optimizer = build_optimiser(self.codec.vae, self.config)

        def factor(step: int) -> float:
            if not step:  # the trainer has not restored its counters yet, and asking for the progress fixes the batches
                return learning_rate_factor(0, 0.0, self.config.warmup_steps)
            start = self.beginning
            now = training_progress(self.trainer, start), peak_of_extension(share_of_run(self.trainer, start))
            # those of the first process: with rates of their own, the parameters would diverge
            progress, peak = self.trainer.strategy.broadcast(now)
            return learning_rate_factor(step - start.step, progress, self.config.warmup_steps, peak)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None, **_: object
    ) -> None:
        """Clip by the norm of all gradients, and log it; remove gradients that are not finite, so no weight moves."""
        # Lightning's own refuses fused optimisers because of the gradient scaler of fp16, which is not used here
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val or math.inf)
        self.terms["gradient"] = norm
        self.log("train/gradient_norm", norm)
        finite = bool(torch.isfinite(norm + self.terms["loss"]))
        finite = self.trainer.strategy.reduce_boolean_decision(finite, all=True)
        self.skipped_steps = 0 if finite else self.skipped_steps + 1
        if not finite:
            optimizer.zero_grad(set_to_none=True)

    def optimizer_step(self, *args: object, **options: object) -> None:
        """Step; add the latents of the batch to the distribution. Raises ``TrainingError`` after ten failures."""
        super().optimizer_step(*args, **options)
        if self.skipped_steps:
            self.report_skipped_step()
        else:
            mean, logvar, peak = map(self.in_all_processes, (*self.posterior, self.batch.peak))
            self.codec.latents.update(Posterior(mean, logvar), peak)

    def report_skipped_step(self) -> None:
        """Print why the step is left out. Raises ``TrainingError`` if that was the tenth in a row."""
        broken = ", ".join(name for name, term in self.terms.items() if not torch.isfinite(term))
        message = f"step {self.global_step + 1}: {broken or 'the loss of another process'} is not finite"
        if self.skipped_steps >= MAX_SKIPPED_STEPS:
            raise TrainingError(
                f"{message}, as in the last {self.skipped_steps} steps; the weights and checkpoints are from before "
                f"them. Lower training.learning_rate ({self.config.learning_rate}) or use trainer.precision=32-true"
            )
        data = self.trainer.datamodule
        labels = {data.label("train", index) if data else str(index) for index in self.batch.index.tolist()}
        say(f"{message}, so it is left out; its segments are {', '.join(sorted(labels))}")

    # -- validation and test ------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        # with the latents that training keeps, so that best.ckpt is that of the best core too
        self.held_out.append((batch.index, self.forward_terms(batch, kept=self.kept_latents(batch))[0]))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.held_out.append((batch.index, self.forward_terms(batch)[0]))

    def on_validation_epoch_end(self) -> None:
        """Log the terms and the number of active latents on training segments; store the KL of each latent."""
        segments = self.log_held_out("val")
        self.kl_per_latent = segments.kl.mean(dim=0)
        # on training segments, as a small collection may have a single validation segment, which does not vary
        self.log("train/active_units", active_units(self.codec.latents.stored_means()).float(), sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_held_out("test")

    def log_held_out(self, stage: str) -> SegmentTerms:
        """Log the terms of all held-out segments, at the final KL weight so that epochs compare; returns them  [N]"""
        indices = self.in_all_processes(torch.cat([index for index, _ in self.held_out]))
        segments = SegmentTerms(*map(self.in_all_processes, joined([terms for _, terms in self.held_out])))
        self.held_out.clear()
        # the last segments may be repeated, so that all processes have the same number
        segments = SegmentTerms(*(term[: len(indices.unique())] for term in segments))
        terms = batch_terms(segments, self.config, self.config.kl_weight)
        self.log_dict({f"{stage}/{name}": term for name, term in terms.items()}, sync_dist=True)
        return segments

    def in_all_processes(self, rows: Tensor) -> Tensor:
        """Rows of all processes, which take turns: [B, ...] -> [N, ...]"""
        if self.trainer.world_size == 1:
            return rows
        rows = rows.detach().contiguous()
        shares = [torch.empty_like(rows) for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather(shares, rows)
        return torch.stack(shares, dim=1).flatten(0, 1)
