"""Procedural sounds of many kinds, from which a base model learns; a seed and a number determine each."""

from vae2ch.data.world.files import RECORDED, write

__all__ = ["RECORDED", "write"]
