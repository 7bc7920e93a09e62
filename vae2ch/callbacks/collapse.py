"""Warn of posterior collapse."""

import lightning

from vae2ch.terminal import say
from vae2ch.training import CodecTraining

KL_MARGIN = 0.01  # nats above twice the free bits, below which a latent carries no information
MIN_FRACTION = 0.1  # of the latents


class CollapseWarning(lightning.Callback):
    """Warning, printed once, after a validation in which hardly any latent differs from the prior."""

    warned = False

    def on_validation_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        config, kl = module.config, module.kl_per_latent
        # free bits cost nothing, so a latent without information settles near them rather than at zero
        used = int((kl > 2 * config.free_bits + KL_MARGIN).sum())
        if self.warned or used >= MIN_FRACTION * len(kl) or not trainer.is_global_zero:
            return
        self.warned = True
        say(
            f"posterior collapse: only {used} of {len(kl)} latents carry information; sounds are decoded much alike. "
            f"Lower training.kl_weight ({config.kl_weight:g}), "
            f"or raise training.kl_warmup_steps ({config.kl_warmup_steps})"
        )
