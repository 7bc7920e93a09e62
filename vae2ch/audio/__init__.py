"""Sound files: find, decode, resample, write. libsndfile reads most formats, FFmpeg (inside PyAV) the others."""

from vae2ch.audio.errors import DecodingError, UnreadableError
from vae2ch.audio.inspection import is_result
from vae2ch.audio.listing import Listing, list_files, printable, summarise
from vae2ch.audio.recording import Recording, decode, load, open_recording
from vae2ch.audio.resampling import resample, resample_blocks
from vae2ch.audio.writing import write

__all__ = [
    "DecodingError",
    "Listing",
    "Recording",
    "UnreadableError",
    "decode",
    "is_result",
    "list_files",
    "load",
    "open_recording",
    "printable",
    "resample",
    "resample_blocks",
    "summarise",
    "write",
]
