"""Settings composed by Hydra from ``conf/`` and the command line, as a checked ``RunConfig``."""

from collections.abc import Collection, Sequence
from typing import Any, cast

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from vae2ch.cli import CONF
from vae2ch.cli.hydra_errors import as_input_errors
from vae2ch.cli.run_folder import create_run_folder
from vae2ch.cli.sweep import run_name
from vae2ch.config import RunConfig, from_mapping
from vae2ch.errors import InputError


def register(swept: Collection[str] = (), named: bool = False) -> None:
    """Register the schema and the resolvers that ``conf/config.yaml`` names.

    ``swept`` are the keys with several values on the command line; ``named`` if a name is given there.
    """
    ConfigStore.instance().store(name="schema", node=RunConfig)

    def sweep_folder(parent: str, name: str) -> str:
        return create_run_folder(parent, name, reuse=named)

    def sweep_run(overrides: list[str], parameters: dict[str, str] | None) -> str:
        return run_name(overrides, [*swept, *(parameters or {})])

    for resolver in (create_run_folder, sweep_folder, sweep_run):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


def from_composed(composed: DictConfig) -> RunConfig:
    """A composed configuration, checked. Raises ``InputError`` if a setting is unknown, missing or out of range."""
    with as_input_errors([]):
        for key in OmegaConf.missing_keys(composed):
            hint = "give a folder of sound files, as in data.root=DIR" if key == "data.root" else "give it a value"
            raise InputError(f"{key} is not set; {hint}")
        values = OmegaConf.to_container(composed, resolve=True)
    config = from_mapping(RunConfig, cast(dict[str, Any], values))
    if config.model.latent_dim != config.latent_dim:
        raise InputError(f"model.latent_dim={config.model.latent_dim}: set latent_dim instead")
    return config


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """Settings of ``train.py`` with some overrides, without a run folder; raises as ``from_composed``."""
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return from_composed(hydra.compose("config", list(overrides)))
