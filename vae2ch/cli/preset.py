"""``preset=auto``: the settings of the preset that suits a collection, once its sounds are read."""

from dataclasses import asdict
from typing import Any, cast

from omegaconf import OmegaConf

from vae2ch.cli import CONF
from vae2ch.config import RunConfig, from_mapping

AUTO = "auto"


def resolve(config: RunConfig, suitable: str) -> RunConfig:
    """With ``preset=auto``, set what is null to its value in the preset ``suitable``; what the user has set stays."""
    if config.preset != AUTO:
        return config
    settings = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONF / "preset" / f"{suitable}.yaml")))
    return from_mapping(RunConfig, filled(asdict(config), settings) | {"preset": suitable})


def filled(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Nested values with each null replaced by the setting of the same key, if there is one."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found[key] = filled(value, settings.get(key, {}))
        else:
            found[key] = settings.get(key) if value is None else value
    return found
