"""An alarm for posterior collapse, that names the cure."""

import lightning
from tqdm import tqdm

from vae2ch.training import VAEModule

SILENT = 0.01  # nats of KL above what is free: a latent with less tells the decoder nothing
SHARE = 0.1  # of the latents that must tell it something


class Collapse(lightning.Callback):
    """Says once, after a validation, when hardly a latent differs from the prior."""

    def __init__(self) -> None:
        self.said = False

    def on_validation_end(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Count the latents that carry something on the held-out sounds."""
        # free nats cost nothing, so that a latent that tells nothing comes to rest near them, not at zero
        silent = 2 * module.settings["free_bits"] + SILENT
        carrying, dim = int((module.kl_per_latent > silent).sum()), module.vae.latent_dim
        if self.said or carrying >= SHARE * dim or not trainer.is_global_zero:
            return
        self.said = True
        weight, warmup = module.settings["kl_weight"], module.settings["kl_warmup_steps"]
        tqdm.write(
            f"posterior collapse: {carrying} of {dim} latents carry anything, so all sounds are decoded alike. "
            f"Lower training.kl_weight ({weight:g}), or raise training.kl_warmup_steps ({warmup})"
        )
