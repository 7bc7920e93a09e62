"""Settings that only the preset has, once the sounds are read and ``preset=auto`` is known to be one of the others."""

from dataclasses import asdict
from typing import Any, cast

from omegaconf import OmegaConf

from vae2ch.cli import CONF
from vae2ch.config import RunConfig, from_mapping

AUTO = "auto"


def resolve(config: RunConfig, suitable: str) -> RunConfig:
    """Set what is null to its value in the preset, which is ``suitable`` for ``auto``; what the user has set stays."""
    name = suitable if config.preset == AUTO else config.preset
    settings = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONF / "preset" / f"{name}.yaml")))
    return from_mapping(RunConfig, filled(asdict(config), settings) | {"preset": name})


def filled(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Nested values with each null replaced by the setting of the same key, if there is one."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found[key] = filled(value, settings.get(key, {}))
        else:
            found[key] = settings.get(key) if value is None else value
    return found
