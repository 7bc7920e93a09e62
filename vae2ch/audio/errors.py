"""Why a file cannot be used as sound."""

from vae2ch.errors import InputError


class DecodingError(InputError):
    """A file without usable sound. The message is the reason, without the path."""


class UnreadableError(DecodingError):
    """A file that the system could not read: another attempt may succeed, so the reason is not to be stored."""

    @classmethod
    def of(cls, error: OSError | MemoryError) -> "UnreadableError":
        """The error of the system, in its own words."""
        text = getattr(error, "strerror", None) or str(error)
        return cls(f"cannot be read: {text.lower() or 'out of memory'}")
