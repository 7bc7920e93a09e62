"""One run: data, codec, trainer; train, test, and say what to do next."""

import math
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only

from vae2ch.cli import hardware
from vae2ch.cli.trainer import build_trainer, silence_lightning
from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig, RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError
from vae2ch.pca_init import initialise_from_pca
from vae2ch.training import CodecTraining

PCA_SEGMENTS = 600  # training segments of the initialisation, half or more of them augmented
REMARKS = {"note_accuracy": "of the {} segments with a pitch", "raw_pitch_accuracy": "of their frames with a pitch"}


def build(config: RunConfig) -> tuple[SoundDataModule, CodecTraining]:
    """The data, not read yet, and the codec's training. Raises ``InputError`` if settings do not fit together."""
    weights = {"amplitude_weight": config.training.amplitude_weight, "kl_weight": config.training.kl_weight}
    try:
        codec = SoundCodec(CodecConfig(config.representation, config.model, **weights))
        data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
    except ValueError as error:
        raise InputError(str(error)) from None
    codec.autocast_dtype = torch.bfloat16 if config.trainer.precision == "bf16-mixed" else None
    return data, CodecTraining(codec, config.training, config.seed)


def initialise(module: CodecTraining, data: SoundDataModule) -> None:
    """Set the initial weights from the training segments."""
    log_magnitude = data.sample_log_magnitudes(PCA_SEGMENTS)
    pixels = math.prod(data.representation.size)
    initialise_from_pca(module.codec.vae, log_magnitude, module.config.kl_weight, pixels)


def run(config: RunConfig, folder: Path) -> float:
    """Train and test, with all results in ``folder``; returns the lowest validation loss. Raises ``InputError``."""
    silence_lightning()
    hardware.keep_freed_memory()
    lightning.seed_everything(config.seed, verbose=False)
    say = rank_zero_only(print)
    resolved = hardware.resolve(config)
    data, module = build(resolved)
    trainer = build_trainer(resolved, folder)
    data.setup()
    say(data.table())
    if trainer.is_global_zero:
        data.write_csv(folder / "sounds.csv")
    say(model_summary(config, module.codec, trainer))
    say("Initialising with PCA of the training sounds", flush=True)
    initialise(module, data)
    with interruptible(folder):
        trainer.fit(module, datamodule=data)
        best = folder / "checkpoints" / "best.ckpt"
        scores = trainer.test(module, datamodule=data, ckpt_path=best, verbose=False)[0]
    say(result_summary(folder, scores))
    return float(trainer.checkpoint_callback.best_model_score)


@contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Print where the checkpoint is, and exit with status 130, at Ctrl-C."""
    try:
        yield
    except SystemExit:  # raised by Lightning at Ctrl-C
        last = folder / "checkpoints" / "last.ckpt"
        state = f"the trained model is in {os.path.relpath(last)}" if last.exists() else "before the first step"
        rank_zero_only(print)(f"vae2ch: interrupted; {state}", file=sys.stderr)
        raise SystemExit(130) from None


def model_summary(config: RunConfig, codec: SoundCodec, trainer: lightning.Trainer) -> str:
    """Size of the model, device, precision, and limits of the training."""
    parameters = sum(weight.numel() for weight in codec.parameters()) / 1e6
    limit = "" if config.minutes is None else f" or {config.minutes:g} minutes"
    bins, frames = codec.representation.size
    return (
        f"Model: {parameters:.1f} million parameters, 2 x {bins} x {frames} -> {config.model.latent_dim} latents; "
        f"{trainer.num_devices} x {trainer.strategy.root_device.type}, {trainer.precision}; "
        f"preset {config.preset}; at most {config.trainer.max_epochs} epochs{limit}"
    )


def result_summary(folder: Path, scores: dict[str, float]) -> str:
    """Scores of the test, and the commands to see and hear the run."""
    scores = {name.removeprefix("test/"): value for name, value in scores.items()}
    pitched = int(scores.pop("pitched_segments", 0))
    lines = ["Test sounds, not used in training:"]
    for name, value in scores.items():
        lines.append(f"  {name:24s}{value:8.3f}   {REMARKS.get(name, '').format(pitched)}".rstrip())
    if not pitched:
        lines.append("  note_accuracy                  -   no test segment has a clear pitch")
    place = os.path.relpath(folder)
    # an environment in the current folder may be inactive: name its programs with their path
    local = Path(sys.prefix).is_relative_to(Path.cwd())
    programs = f"{os.path.relpath(sys.prefix)}/bin/" if local else ""
    lines += [
        f"Listen    {place}/report.html   (WAV files in {place}/audio)",
        f"Look      {programs}tensorboard --logdir outputs",
        f"Play      {programs}python -m vae2ch reconstruct {shlex.quote(place)} SOUNDS --out DIR",
    ]
    return "\n".join(lines)
