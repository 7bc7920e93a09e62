"""One run from its settings: data, model, trainer; fit, test, and what to do next."""

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vae2ch import hardware, principal
from vae2ch.callbacks import Collapse, Listening, Progress, Rescue, Verdict
from vae2ch.data import SoundDataModule
from vae2ch.data.collection import write_csv
from vae2ch.refusal import Refusal
from vae2ch.training import VAEModule

GLIMPSE = 600  # segments that the start is computed from


def quieten() -> None:
    """Leave out what Lightning says about things that are as they should be."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*The number of training batches .* is smaller than the logging.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")


def callbacks(settings: dict, folder: Path) -> list[lightning.Callback]:
    """What watches the run."""
    kept = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    return [
        Progress(),
        EarlyStopping("val/loss", patience=settings["training"]["patience"], check_finite=False),
        ModelCheckpoint(filename="best", monitor="val/loss", save_weights_only=True, **kept),
        ModelCheckpoint(filename="last", **kept),
        Listening(folder, settings["media"]["sounds"], settings["seed"]),
        Verdict(settings),
        Collapse(),
        Rescue(folder / "checkpoints" / "last.ckpt"),
    ]


def build(settings: dict) -> tuple[SoundDataModule, VAEModule]:
    """The data and the model; nothing is read yet.

    Raises:
        Refusal: the settings of the representation or the model don't go together
    """
    try:
        data = SoundDataModule(**{name: settings[name] for name in ("data", "augment", "representation", "seed")})
        module = VAEModule(**{name: settings[name] for name in ("model", "representation", "training", "seed")})
    except ValueError as error:
        raise Refusal(str(error)) from None
    return data, module


def begin(module: VAEModule, data: SoundDataModule) -> None:
    """Set what training starts from, out of the training sounds."""
    principal.start(module.vae, data.glimpse(GLIMPSE), module.settings["kl_weight"])


def build_trainer(settings: dict, folder: Path) -> lightning.Trainer:
    """The Trainer of a run that lives in ``folder``.

    Raises:
        Refusal: the device or the precision asked for is not to be had
    """
    options = dict(settings["trainer"])
    options["accelerator"] = hardware.accelerator(options["accelerator"])
    options["precision"] = hardware.precision(options["precision"], options["accelerator"])
    minutes = settings["minutes"]
    try:
        return lightning.Trainer(
            **options,
            max_time=None if minutes is None else timedelta(minutes=minutes),
            logger=[
                TensorBoardLogger(folder, name="", version="", default_hp_metric=False),
                CSVLogger(folder, name="", version=""),
            ],
            callbacks=callbacks(settings, folder),
            use_distributed_sampler=False,  # ours shards by itself
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise Refusal(f"trainer: {error}") from None


def welcome(settings: dict, module: VAEModule, trainer: lightning.Trainer) -> str:
    """What is about to be trained, on what, for how long."""
    parameters = sum(weight.numel() for weight in module.parameters()) / 1e6
    limit = "" if settings["minutes"] is None else f" or {settings['minutes']:g} minutes"
    bins, frames = module.representation.size
    return (
        f"Model: {parameters:.1f} million parameters, 2 x {bins} x {frames} -> {module.vae.latent_dim} latents; "
        f"{trainer.num_devices} x {trainer.strategy.root_device.type}, {trainer.precision}; "
        f"preset {settings['preset']}; at most {settings['trainer']['max_epochs']} epochs{limit}"
    )


def farewell(folder: Path, scores: dict[str, float]) -> str:
    """The test's result, and how to see and hear the run."""
    place = os.path.relpath(folder)
    # an environment in this folder may not be activated: name its programs in full
    here = Path(sys.prefix).is_relative_to(Path.cwd())
    tools = f"{os.path.relpath(sys.prefix)}/bin/" if here else ""
    pitched = int(scores.get("test/pitched", 0))
    notes = {
        "pitch_right": f"   of the {pitched} with a pitch",
        "pitch_kept": "   of their frames with a pitch",
    }
    names = [name for name in scores if name != "test/pitched"]
    listed = "\n".join(
        f"  {name.removeprefix('test/'):24s}{scores[name]:8.3f}{notes.get(name.removeprefix('test/'), '')}"
        for name in names
    )
    if not pitched:
        listed += "\n  pitch_right                  -   no test sound has a clear pitch"
    return "\n".join(
        [
            "On the test sounds, which the model has never heard:",
            listed,
            f"Listen    {place}/report.html   (WAV files in {place}/audio)",
            f"Look      {tools}tensorboard --logdir outputs",
            f"Play      {tools}python -m vae2ch reconstruct {shlex.quote(place)} SOUNDS --out DIR",
        ]
    )


@contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Ctrl-C ends the program in one line that says what is left."""
    try:
        yield
    except SystemExit:  # what Lightning makes of Ctrl-C
        last = folder / "checkpoints" / "last.ckpt"
        kept = f"what was learnt is in {os.path.relpath(last)}" if last.exists() else "before the first step"
        rank_zero_only(print)(f"vae2ch: interrupted; {kept}", file=sys.stderr)
        raise SystemExit(130) from None


def run(settings: dict, folder: Path) -> float:
    """Train, test, and leave everything in ``folder``; returns the best validation loss.

    Raises:
        Refusal: the settings or the sounds can't be used
    """
    quieten()
    hardware.keep_memory()
    lightning.seed_everything(settings["seed"], verbose=False)
    say = rank_zero_only(print)
    data, module = build(settings)
    trainer = build_trainer(settings, folder)
    data.setup()
    say(data.table())
    if trainer.is_global_zero:
        write_csv(data.collection, data.representation.sample_rate, folder / "sounds.csv")
    say(welcome(settings, module, trainer))
    say("Computing the best linear model of the sounds, where training starts", flush=True)
    begin(module, data)
    best = folder / "checkpoints" / "best.ckpt"
    with interruptible(folder):
        trainer.fit(module, datamodule=data)
        scores = trainer.test(module, datamodule=data, ckpt_path=best, verbose=False)[0]
    say(farewell(folder, scores))
    return float(trainer.checkpoint_callback.best_model_score)
