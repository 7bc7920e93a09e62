"""The world: procedural sounds of every kind, endless and seeded, from which a base model learns."""

from vae2ch.data.world.files import RECORDED, write

__all__ = ["RECORDED", "write"]
