"""The command line: settings, error messages, one run, and the commands of ``python -m vae2ch``."""
