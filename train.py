"""Train a model of your sounds: ``python train.py data=folder data.root=DIR preset=heavy``."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae2ch import commandline, config


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(settings: DictConfig) -> float:
    """Compose, check, run; the run's folder holds all that comes of it."""
    with commandline.job():
        checked = config.check(settings)
        commandline.refuse_distributed_sweep(checked)
        from vae2ch.run import run  # only now: torch takes seconds, and a refusal should not

        return run(checked, Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    commandline.register()
    with commandline.refusals():
        train()
