"""A two-channel spectrogram VAE for small sound collections."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae2ch.codec import SoundCodec

__version__ = "0.1.0"
__all__ = ["SoundCodec"]


def __getattr__(name: str) -> object:
    """Import ``SoundCodec`` on first use (PEP 562), as torch takes seconds and ``--help`` does not need it."""
    if name == "SoundCodec":
        from vae2ch.codec import SoundCodec

        return SoundCodec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
