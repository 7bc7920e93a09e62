"""Measure how the time of a training is spent, without its start and its test."""

import re
import time
from collections import defaultdict
from pathlib import Path

import lightning
from lightning.pytorch.profilers import SimpleProfiler

from vae2ch.bench import common
from vae2ch.cli import hardware
from vae2ch.cli.run import build
from vae2ch.cli.run_folder import create_run_folder
from vae2ch.cli.start import initialise, read_start
from vae2ch.cli.trainer import build_trainer, silence_lightning

PARTS = {  # by stage and what Lightning's profiler calls its actions, none of which holds another
    "training steps": "train run_training_batch",
    "segments: reading, augmenting, analysing": r"train .*(train_dataloader_next|\.batch_to_device)",
    "validation": r"validate .*(val_next|\.batch_to_device|\.validation_step$)",
    "pictures and sounds for TensorBoard": "TensorBoardMedia",
    "latents for TensorBoard": "LatentProjector",
    "checkpoints": "Checkpoints",
    "progress": "Progress",
}


class StageProfiler(SimpleProfiler):
    """Names each action by the stage, as training and validation have some of the same names."""

    def __init__(self, trainer: lightning.Trainer) -> None:
        super().__init__()
        self.trainer, self.running = trainer, dict[str, str]()

    def start(self, action_name: str) -> None:
        stage = self.trainer.state.stage
        self.running[action_name] = f"{stage.value if stage else ''} {action_name}"
        super().start(self.running[action_name])

    def stop(self, action_name: str) -> None:
        super().stop(self.running.pop(action_name))


def part_of(action: str) -> str:
    """The part of a run that an action of the profiler belongs to; "" if it is none, or holds others."""
    return next((part for part, pattern in PARTS.items() if re.search(pattern, action)), "")


def shares(durations: dict[str, list[float]], whole: float) -> dict[str, float]:
    """Percentages of ``whole`` seconds that the parts of a run take, and what is left."""
    found: dict[str, float] = defaultdict(float)
    for action, seconds in durations.items():
        if part := part_of(action):
            found[part] += 100 * sum(seconds) / whole
    return {part: found[part] for part in PARTS} | {"the rest": 100 - sum(found.values())}


def main() -> None:
    """Train, and print the table."""
    example = "--data sounds/ minutes=10"
    parser = common.build_parser("shares", "Measure what the minutes of a run are spent on.", example)
    with common.one_line_errors():
        options = parser.parse_intermixed_args()
        config = common.settings(options.data, ["name=bench-shares", *options.overrides])
        silence_lightning()
        hardware.keep_freed_memory()
        lightning.seed_everything(config.seed, verbose=False)
        folder = Path(create_run_folder("outputs", config.name))
        data, module = build(config)
        data.setup()
        initialise(module, data, read_start(config.start, module.codec.config))
        trainer = build_trainer(config, folder)
        profiler = trainer.profiler = StageProfiler(trainer)
        begin = time.perf_counter()
        trainer.fit(module, datamodule=data)
        whole = time.perf_counter() - begin
        found = shares(profiler.recorded_durations, whole)
        print(f"{trainer.global_step} steps in {whole:.0f} s\n")
        print(common.table(["part", "% of the time"], ([part, f"{share:.1f}"] for part, share in found.items())))


if __name__ == "__main__":
    main()
