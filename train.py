"""Train a model of your sounds: ``python train.py data=folder data.root=DIR preset=heavy``."""

import sys

from omegaconf import DictConfig

from vae2ch.cli import hydra_app, settings


def train(composed: DictConfig) -> float:
    """Check the composed settings and run; Hydra calls this, in a sweep once for each run."""
    with hydra_app.job() as folder:
        return hydra_app.run_job(settings.from_composed(composed), folder)


if __name__ == "__main__":
    hydra_app.main(train, sys.argv[1:])
