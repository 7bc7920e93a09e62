"""The command line: settings, error messages, one run, resuming, sweeps, and the commands of ``python -m vae2ch``."""

from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"  # the values of all settings
