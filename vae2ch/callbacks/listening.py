"""The same held-out sounds before, during and after training: heard, seen, and at the end as files."""

import time
from pathlib import Path

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import Subset
from torch.utils.tensorboard import SummaryWriter

from vae2ch import audio, inference, pictures
from vae2ch.data.dataset import Item, spread
from vae2ch.report import write_report
from vae2ch.training import VAEModule

SEEN = ("original", "reconstruction")  # of what is heard, also as a picture
SHARE = 0.1  # of a training's time, about: epochs can be shorter than it takes to make them heard
PROJECTED = 2000  # segments of a split that the projector shows: more make it slow


def writer(trainer: lightning.Trainer) -> SummaryWriter | None:
    """TensorBoard's writer, where the run has one."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            return logger.experiment
    return None


class Listening(lightning.Callback):
    """Audio, pictures and latents of held-out sounds in TensorBoard; WAV files and a report at the end.

    Args:
        folder: of the run
        sounds: how many held-out sounds
        seed: of the draws
    """

    def __init__(self, folder: Path, sounds: int, seed: int) -> None:
        self.folder, self.sounds, self.seed = folder, sounds, seed
        self.begun, self.spent = 0.0, 0.0  # when training began, and the seconds since then that went into this
        self.heard = -1  # the step at which sounds were last logged

    def chosen(self, trainer: lightning.Trainer, split: str) -> dict[str, Item]:
        """The held-out segments that are followed, by label."""
        dataset = trainer.datamodule.datasets[split]
        return {trainer.datamodule.label(split, n): dataset[n] for n in spread(self.sounds, len(dataset))}

    def versions(self, module: VAEModule, item: Item) -> dict[str, Tensor]:
        """Original, ceiling, reconstruction and a sample near it, of one sound  [S] each, without the padding."""
        wave = item.wave.to(module.device)
        versions = {
            "original": wave,
            "ceiling": inference.reconstruct(module, wave, ceiling=True),
            "reconstruction": inference.reconstruct(module, wave),
            "sample": inference.variation(module, wave, self.seed),
        }
        return {name: version[: int(item.samples)].cpu() for name, version in versions.items()}

    def on_train_start(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """What training starts from: the first stage to be heard."""
        if trainer.is_global_zero:
            module.eval()
            self.log_sounds(trainer, module)
            module.train()
        self.begun, self.spent = time.monotonic(), 0.0

    def on_validation_end(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Log the sounds, where there is time for it, and the KL of each latent."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        begin = time.monotonic()
        if self.spent <= SHARE * (begin - self.begun):
            self.log_sounds(trainer, module)
            self.spent += time.monotonic() - begin
        if board := writer(trainer):
            board.add_histogram("val/kl_per_latent", module.kl_per_latent, trainer.global_step)

    def log_sounds(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Log audio and pictures of the validation sounds, and a drawn sound."""
        board = writer(trainer)
        if board is None:
            return
        rate, step = module.representation.sample_rate, trainer.global_step
        self.heard = step
        for label, item in self.chosen(trainer, "validation").items():
            versions = self.versions(module, item)
            for name, wave in versions.items():
                whole = torch.nn.functional.pad(wave, (0, max(0, 2 - len(wave))))  # TensorBoard refuses one sample
                board.add_audio(f"{label}/{name}", whole.clamp(-1, 1)[None], step, rate)
            columns = {name: self.picture(module, versions[name]) for name in SEEN}
            board.add_figure(label, pictures.compare(columns, module.representation, label), step)
        drawn = inference.sample(module, 1, self.seed)[0].cpu()
        board.add_audio("drawn/sample", drawn.clamp(-1, 1)[None], step, rate)

    @staticmethod
    def picture(module: VAEModule, wave: Tensor) -> Tensor:
        """Spectrogram of a sound as it is heard, one segment long  [2, F, T]"""
        representation = module.representation
        padded = torch.nn.functional.pad(wave, (0, representation.segment - wave.shape[-1]))
        return representation(padded[None].to(module.device))[0]

    def on_train_end(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Log the last sounds, and hand the latents of all to TensorBoard's projector, with their file names."""
        board = writer(trainer)
        if board is None or not trainer.is_global_zero:
            return
        data = trainer.datamodule
        module.eval()  # after a fit Lightning leaves it as it trained
        if self.heard != trainer.global_step:
            self.log_sounds(trainer, module)
        means, rows = [], []
        for split in ("train", "validation"):
            dataset = data.datasets[split]
            for batch in data.loader(Subset(dataset, spread(PROJECTED, len(dataset)))):
                batch = data.on_after_batch_transfer(type(batch)(*(part.to(module.device) for part in batch)), 0)
                with torch.inference_mode():
                    means.append(module.vae.encode(batch.spectrogram).mean.cpu())
                rows += [(data.label(split, int(index)), split) for index in batch.index]
        board.add_embedding(
            torch.cat(means).clone(), rows, metadata_header=["file", "split"], global_step=trainer.global_step
        )

    def on_test_end(self, trainer: lightning.Trainer, module: VAEModule) -> None:
        """Write WAV files of the test sounds, those followed so far and drawn ones, and a page to hear them on."""
        if not trainer.is_global_zero:
            return
        rate, folder = module.representation.sample_rate, self.folder / "audio"
        folder.mkdir(exist_ok=True)
        rows: list[dict[str, str]] = []
        followed = self.chosen(trainer, "test") | self.chosen(trainer, "validation")
        for number, (label, item) in enumerate(followed.items(), 1):
            versions = self.versions(module, item)
            stem = f"{number:02d}-{Path(label.partition(' @ ')[0]).stem[:40]}"  # room for what follows in a file name
            row = {"sound": label}
            for name, wave in versions.items():
                audio.write(folder / f"{stem}-{name}.wav", wave.numpy(), rate)
                row[name] = f"audio/{stem}-{name}.wav"
            columns = {name: self.picture(module, versions[name]) for name in SEEN}
            pictures.compare(columns, module.representation, label).savefig(folder / f"{stem}.png")
            row["picture"] = f"audio/{stem}.png"
            rows.append(row)
        samples = []
        for number, wave in enumerate(inference.sample(module, self.sounds, self.seed), 1):
            audio.write(folder / f"drawn-{number:02d}.wav", wave.cpu().numpy(), rate)
            samples.append(f"audio/drawn-{number:02d}.wav")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        write_report(self.folder / "report.html", self.folder.name, metrics, rows, samples)
