"""The report of a finished run: WAV files, images, and a page to play them."""

import re
from pathlib import Path

import lightning

from vae2ch import audio
from vae2ch.callbacks.followed import followed_sounds, spectrogram_of, versions
from vae2ch.callbacks.media import PLOTTED
from vae2ch.callbacks.report_page import SoundRow, write_page
from vae2ch.callbacks.spectrogram_plot import compare
from vae2ch.codec import SoundCodec
from vae2ch.data.dataset import Item
from vae2ch.files import file_name
from vae2ch.training import CodecTraining

MAX_STEM = 100  # bytes of a sound's name in file names


class Report(lightning.Callback):
    """``audio/`` and ``report.html``, written after the test: test segments, validation segments and new samples."""

    def __init__(self, folder: Path, sounds: int, seed: int) -> None:
        self.folder, self.sounds, self.seed = folder, sounds, seed  # number of sounds of each split, and of samples

    def on_test_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        if not trainer.is_global_zero:
            return
        print("Writing report.html", flush=True)
        (self.folder / "audio").mkdir(exist_ok=True)
        followed = followed_sounds(trainer, "test", self.sounds) | followed_sounds(trainer, "validation", self.sounds)
        numbered = enumerate(followed.items(), 1)
        rows = [self.write_sound(module.codec, number, label, item) for number, (label, item) in numbered]
        samples = self.write_samples(module.codec)
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        write_page(self.folder / "report.html", self.folder.name, scores, rows, samples)

    def write_sound(self, codec: SoundCodec, number: int, label: str, item: Item) -> SoundRow:
        """Write the versions of one sound and their image."""
        stem = f"audio/{number:02d}-{short_stem(label)}"
        made = versions(codec, item, self.seed)
        files = {name: f"{stem}-{name}.wav" for name in made}
        for name, wave in made.items():
            audio.write(self.folder / file_name(files[name]), wave.numpy(), codec.sample_rate, result=True)
        columns = {name: spectrogram_of(codec.representation, made[name]) for name in PLOTTED}
        compare(columns, codec.representation).savefig(self.folder / file_name(f"{stem}.png"))
        return SoundRow(label, files, f"{stem}.png")

    def write_samples(self, codec: SoundCodec) -> list[str]:
        """Write new sounds; returns their files."""
        files = [f"audio/sample-{number:02d}.wav" for number in range(1, self.sounds + 1)]
        for file, wave in zip(files, codec.sample(self.sounds, seed=self.seed).cpu(), strict=True):
            audio.write(self.folder / file, wave.numpy(), codec.sample_rate, result=True)
        return files


def short_stem(label: str) -> str:
    """Name of a sound for the names of files: without folder, suffix, time and backslashes, and not too long."""
    name = Path(re.sub(r" @ [\d.]+ s$", "", label)).stem.replace("\\", "_")
    return name.encode()[:MAX_STEM].decode(errors="ignore")
