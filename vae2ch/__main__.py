"""Entry point of ``python -m vae2ch``."""

from vae2ch.cli.commands import main

if __name__ == "__main__":
    main()
