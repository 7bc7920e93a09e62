"""``python -m vae2ch reconstruct RUN_OR_CKPT INPUT... --out DIR``: use what was trained."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vae2ch import audio
from vae2ch.refusal import Refusal, one_line_refusals


class Parser(argparse.ArgumentParser):
    """argparse with one line instead of its usage text."""

    def error(self, message: str) -> None:
        """Refuse the arguments."""
        raise Refusal(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = Parser(prog="vae2ch", description="Use a trained model. A checkpoint is all it needs.")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    reconstruct = commands.add_parser(
        "reconstruct",
        help="send sound files through a model",
        description="Send sounds of any length through a model; writes WAV files of the same names.",
    )
    reconstruct.add_argument("model", metavar="RUN_OR_CKPT", type=Path, help="a run's folder, or a .ckpt file")
    reconstruct.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help="sound files, or folders of them")
    reconstruct.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the WAV files go")
    reconstruct.add_argument("--ceiling", action="store_true", help="analysis and synthesis only, without the model")
    reconstruct.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    return whole


def targets(inputs: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each sound file of the inputs with the file that it becomes; folders keep their tree.

    Two inputs that would become the same file are numbered.

    Raises:
        Refusal: an input folder has no sound files, or a file would overwrite its own input
    """
    taken: set[Path] = set()
    for given in inputs:
        files = audio.list_files(given) if given.is_dir() else [given]
        for file in files:
            plain = out / (file.relative_to(given) if given.is_dir() else file.name)
            target, number = plain.with_suffix(".wav"), 2
            while target in taken:
                target, number = plain.with_name(f"{plain.stem}-{number}.wav"), number + 1
            taken.add(target)
            yield file, target


def reconstruct(arguments: argparse.Namespace) -> int:
    """Run the ``reconstruct`` command; returns the exit status."""
    pairs = list(targets(arguments.inputs, arguments.out))
    originals = {file.resolve() for file, _ in pairs}
    for _, target in pairs:
        if target.resolve() in originals:
            raise Refusal(f"--out: {target} would overwrite an input; give another folder")
    # only now: torch takes seconds, and a refusal should not
    import torch
    from tqdm import tqdm

    from vae2ch import hardware, inference

    hardware.keep_memory()
    module = inference.load(arguments.model, hardware.device(arguments.device))
    rate = module.representation.sample_rate
    failed = 0
    for file, target in (bar := tqdm(pairs, unit=" files", desc="reconstructing", disable=len(pairs) < 2)):
        try:
            wave = torch.from_numpy(audio.load(file, rate)).to(module.device)
            made = inference.reconstruct(module, wave, ceiling=arguments.ceiling)
            audio.write(target, made.cpu().numpy(), rate)
        except audio.Undecodable as reason:
            failed += 1
            bar.write(f"vae2ch: {audio.shown(file)}: {reason}", file=sys.stderr)
    print(f"{len(pairs) - failed} of {len(pairs)} files written to {arguments.out} at {rate} Hz")
    return 1 if failed else 0


def main() -> None:
    """Entry point of ``python -m vae2ch`` and of the console script ``vae2ch``."""
    with one_line_refusals():
        arguments = parser().parse_args()
        sys.exit({"reconstruct": reconstruct}[arguments.command](arguments))


if __name__ == "__main__":
    main()
