"""The commands of ``python -m vae2ch``, which use a trained model."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from vae2ch import audio
from vae2ch.audio import DecodingError
from vae2ch.cli import environment
from vae2ch.cli.messages import exit_on_error
from vae2ch.errors import InputError


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are ``InputError``."""

    def error(self, message: str) -> NoReturn:
        """Raise ``InputError`` instead of printing the usage."""
        raise InputError(f"{message} (see {self.prog} --help)")


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="vae2ch", description="Use a trained model. A checkpoint file is all that is needed.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    text = "reconstruct sounds of any length with a model; writes WAV files of the same names"
    command = commands.add_parser("reconstruct", help=text, description=text)
    command.set_defaults(function=reconstruct)
    command.add_argument("model", metavar="RUN_OR_CKPT", type=Path, help="a run's folder, or a .ckpt file")
    command.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help="sound files, or folders of them")
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the WAV files")
    command.add_argument("--ceiling", action="store_true", help="analyse and synthesise only, without the model")
    command.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return parser


def main() -> None:
    """Run the command that the program's arguments name, and exit."""
    environment.prepare()
    with exit_on_error():
        arguments = build_parser().parse_args()
        sys.exit(arguments.function(arguments))


def reconstruct(arguments: argparse.Namespace) -> int:
    """Reconstruct sound files; returns the exit status. Raises ``InputError`` if the model or a path cannot be used."""
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
            wave = torch.from_numpy(audio.load(file, codec.sample_rate)).to(device)
            audio.write(output, process(wave).cpu().numpy(), codec.sample_rate)
        except DecodingError as reason:
            failed += 1
            bar.write(f"vae2ch: {audio.printable(file)}: {reason}", file=sys.stderr)
    print(f"{len(pairs) - failed} of {len(pairs)} files written to {arguments.out} at {codec.sample_rate} Hz")
    return 1 if failed else 0


def output_files(inputs: list[Path], folder: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of input and output file. Folders keep their tree; outputs of the same name are numbered."""
    taken: set[Path] = set()
    for given in inputs:
        files = audio.list_files(given) if given.is_dir() else [given]
        for file in files:
            plain = folder / (file.relative_to(given) if given.is_dir() else file.name)
            output, number = plain.with_suffix(".wav"), 2
            while output in taken:
                output, number = plain.with_name(f"{plain.stem}-{number}.wav"), number + 1
            taken.add(output)
            yield file, output
