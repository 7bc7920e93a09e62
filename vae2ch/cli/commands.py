"""The commands of ``python -m vae2ch``, which use a trained model."""

import argparse
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vae2ch import audio
from vae2ch.audio import DecodingError, is_result
from vae2ch.audio.content import SOUND_SUFFIXES
from vae2ch.cli import environment
from vae2ch.cli.messages import exit_on_error, programs, shell_join
from vae2ch.errors import InputError
from vae2ch.files import expand_home

EXAMPLES = """\
example: python -m vae2ch reconstruct outputs/RUN song.wav more/ --out made
    writes made/song.wav, and a WAV file for each sound in the folder more
"""
MODEL = "a run's folder, or a .ckpt file"
SOUNDS = "sound files, or folders of them"
MAX_NAME = 255  # bytes of a file's name


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are ``InputError``. Paths may begin with a dash."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Parse arguments, those that are paths as such."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(words if self._subparsers else list(self.with_paths(words)), namespace)

    def with_paths(self, words: Iterable[str]) -> Iterator[str]:
        """Arguments, with ``./`` before a path that begins with a dash: what exists, and what an option takes."""
        options, takes_value = self._option_string_actions, False
        for word in words:
            is_option = word.partition("=")[0] in options
            dashed = word.startswith("-") and not is_option and word != "--"
            yield f"./{word}" if dashed and (takes_value or os.path.lexists(word)) else word
            takes_value = is_option and word in options and options[word].nargs is None

    def error(self, message: str) -> NoReturn:
        """Raise ``InputError`` instead of printing the usage."""
        raise InputError(f"{message} (see {self.prog} --help)")


def build_parser() -> Parser:
    """The parser of all commands."""
    layout: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": EXAMPLES}
    text = "Use a trained model. A checkpoint file is all that is needed."
    parser = Parser(prog="python -m vae2ch", description=text, **layout)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    text = "reconstruct sounds of any length with a model; writes WAV files of the same names"
    command = commands.add_parser("reconstruct", help=text, description=text, **layout)
    command.set_defaults(function=reconstruct)
    command.add_argument("model", metavar="RUN_OR_CKPT", type=path_of(MODEL), help=MODEL)
    command.add_argument("inputs", metavar="INPUT", type=path_of(SOUNDS), nargs="*", help=SOUNDS)
    text = "a folder for the WAV files"
    command.add_argument("--out", metavar="DIR", type=path_of(text), required=True, help=text)
    command.add_argument("--ceiling", action="store_true", help="analyse and synthesise only, without the model")
    text = "device to compute on; auto (default): the best of this machine"
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help=text)
    return parser


def path_of(meaning: str) -> Callable[[str], Path]:
    """Type of an argument that is a path. An empty one is an error, where ``Path("")`` is the current folder."""

    def path(text: str) -> Path:
        if not text.strip() and not os.path.lexists(text):
            raise argparse.ArgumentTypeError(f"is empty; give {meaning}")
        return expand_home(text)

    return path


def main() -> None:
    """Run the command that the program's arguments name, and exit."""
    environment.prepare()
    with exit_on_error():
        arguments = build_parser().parse_args()
        sys.exit(arguments.function(arguments))


def reconstruct(arguments: argparse.Namespace) -> int:
    """Reconstruct sound files; returns the exit status. Raises ``InputError`` if the model or a path cannot be used."""
    check_order(arguments.model, arguments.inputs, arguments.out)
    pairs = list(output_files(arguments.inputs, arguments.out))
    inputs = {file.resolve() for file, _ in pairs}
    for _, output in pairs:
        if output.resolve() in inputs:
            raise InputError(f"--out: {output} would overwrite an input; give another folder")
    # here, so that error messages need not wait for torch
    import torch
    from tqdm import tqdm

    from vae2ch.cli import hardware
    from vae2ch.codec import SoundCodec

    hardware.keep_freed_memory()
    hardware.limit_threads()
    device = hardware.inference_device(arguments.device)
    codec = SoundCodec.load(arguments.model, device)
    codec.autocast_dtype = hardware.autocast_dtype(device)
    process = codec.ceiling if arguments.ceiling else codec.reconstruct
    failed = 0
    for file, output in (bar := tqdm(pairs, unit=" files", desc="reconstructing", disable=len(pairs) < 2)):
        try:
            recording = audio.open_recording(file)
            wave = np.concatenate(list(recording.resampled(codec.sample_rate)))
            made = process(torch.from_numpy(wave).to(device)).cpu().numpy()
            audio.write(output, made, codec.sample_rate, result=True)
            if recording.remark:
                bar.write(f"{audio.printable(file)}: {recording.remark}", file=sys.stderr)
        except DecodingError as reason:
            failed += 1
            bar.write(f"vae2ch: {audio.printable(file)}: {reason}", file=sys.stderr)
    print(f"{len(pairs) - failed} of {len(pairs)} files written to {arguments.out} at {codec.sample_rate} Hz")
    return 1 if failed else 0


def check_order(model: Path, inputs: list[Path], out: Path) -> None:
    """Raise ``InputError`` if the first path is a sound and no model, or the only path."""
    given = [model, *inputs]
    models = [path for path in given if is_model(path)]
    sounds = [str(path) for path in given if path not in models]
    if model in models and not inputs:
        reason = "no sounds are given"
    elif model not in models and (models or is_sound(model) or not inputs):
        reason = f"{model} is no model, and the model comes first"
    else:
        return  # a model that cannot be loaded has messages of its own
    words = [*(map(str, models[:1]) if models else ["outputs/RUN"]), *(sounds or ["SOUNDS"]), "--out", str(out)]
    raise InputError(f"{reason}; write: {shell_join([f'{programs()}python', '-m', 'vae2ch', 'reconstruct', *words])}")


def is_sound(path: Path) -> bool:
    """Whether a path is a sound file, by its name."""
    return path.suffix.lower() in SOUND_SUFFIXES


def is_model(path: Path) -> bool:
    """Whether a path is a checkpoint, or a run's folder with one."""
    return path.suffix == ".ckpt" or any((path / "checkpoints").glob("*.ckpt"))


def output_files(inputs: list[Path], folder: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of input and output file. Folders keep their tree; outputs whose names are alike are numbered.

    Files that this program has written are no inputs, unless they are named themselves.
    """
    taken: set[str] = set()
    for given in inputs:
        for file in recordings_in(given) if given.is_dir() else [given]:
            plain = folder / (file.relative_to(given) if given.is_dir() else file.name)
            number = 1
            while alike(output := output_file(plain, number)) in taken:
                number += 1
            taken.add(alike(output))
            yield file, output


def output_file(plain: Path, number: int) -> Path:
    """Path of a WAV file, numbered from the second on, with a name that is not too long."""
    stem, ending = plain.stem, ".wav" if number == 1 else f"-{number}.wav"
    while len(os.fsencode(stem + ending)) > MAX_NAME:
        stem = stem[:-1]
    return plain.with_name(stem + ending)


def alike(path: Path) -> str:
    """What is the same for paths that are one file on a disk of a Mac or of Windows."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def recordings_in(folder: Path) -> list[Path]:
    """Sounds in a folder without those that this program has written; prints what is left out.

    Raises ``InputError`` if there are none.
    """
    listing = audio.list_files(folder)
    found = []
    for file in listing.files:
        if is_result(file):
            listing.leave_out("files written by vae2ch", file)
        else:
            found.append(file)
    lines = [f"left out {line}" for line in audio.summarise(listing.left_out)]
    if not found:
        raise InputError("; ".join([f"no sound to reconstruct in {folder}", *lines]))
    for line in lines:
        print(f"vae2ch: {folder}: {line}", file=sys.stderr)
    return found
