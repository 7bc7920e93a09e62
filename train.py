"""Train a model of your sounds: ``python train.py data=folder data.root=DIR preset=heavy``."""

import sys

from omegaconf import DictConfig

from vae2ch.cli import hydra_app, settings


def train(composed: DictConfig) -> float:
    """Check the composed settings and run; Hydra calls this, in a sweep once for each run."""
    with hydra_app.job() as folder:
        config = settings.from_composed(composed)
        hydra_app.check_sweep(config)
        from vae2ch.cli.run import run  # here, so that error messages need not wait for torch

        return run(config, folder)


if __name__ == "__main__":
    hydra_app.main(train, sys.argv[1:])
