"""Which phase suits what a decoder makes: the same magnitudes, made sound in several ways.

    python -m vae2ch.bench.phases outputs/bench-sound --data DIR

On what the run was not trained on, up to a hundred segments each of validation and test. ``--known`` takes as many
that it was trained on, near which draws are.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from vae2ch import commandline, inference
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.bench.scores import heard_pitches, in_pitch, mean, score
from vae2ch.bench.sound import ITERATIONS, MEASURED, griffin_lim
from vae2ch.data import SoundDataModule
from vae2ch.locking import locked_phase, partials
from vae2ch.metrics import Pitch
from vae2ch.representation import Representation
from vae2ch.synthesis import ITERATIONS as FEW
from vae2ch.synthesis import iterate, synthesise

Way = Callable[[Tensor, Tensor], Tensor]


def ways(representation: Representation, starts: int) -> dict[str, Way]:
    """From what a decoder made [M, 2, F, T] to sound [M, S]; only the first looks at the original's spectrogram."""

    def true(made: Tensor, original: Tensor) -> Tensor:
        return representation.inverse(torch.stack([made[:, 0], original[:, 1]], dim=1))

    def summed(made: Tensor, _: Tensor, iterations: int) -> Tensor:
        phase = representation.integrate(made[:, 1])
        return iterate(representation, representation.amplitude(made[:, 0]), phase, iterations)

    def locked(made: Tensor, _: Tensor, iterations: int, **options: float) -> Tensor:
        amplitude = representation.amplitude(made[:, 0])
        phase = locked_phase(representation, amplitude, made[:, 1])
        return iterate(representation, amplitude, phase, iterations, **options)

    def unaided(made: Tensor, original: Tensor) -> Tensor:
        amplitude = representation.amplitude(made[:, 0])
        told = partials(amplitude.mT, representation.n_fft, representation.hop).mT
        return locked(torch.stack([made[:, 0], told], dim=1), original, iterations=FEW)

    def random(made: Tensor, _: Tensor, start: int) -> Tensor:
        return griffin_lim(representation, made[:, 0], start)

    return {
        "the true phase": true,
        "summed": partial(summed, iterations=0),
        f"summed, {FEW} iterations": partial(summed, iterations=FEW),
        "locked": partial(locked, iterations=0),
        f"locked by the amplitudes alone, {FEW} iterations": unaided,
        f"locked, {FEW} iterations that do not overshoot": partial(locked, iterations=FEW, overshoot=0.0),
        f"**what ships**: exact or locked, {FEW} iterations": lambda made, _: synthesise(representation, made),
        "locked, 16 iterations": partial(locked, iterations=16),
    } | {f"random {start}, {ITERATIONS} fast iterations": partial(random, start=start) for start in range(starts)}


def sounds(data: SoundDataModule, splits: Sequence[str]) -> tuple[Tensor, list[int], list[str]]:
    """Waves [M, S], lengths and labels of the segments of some splits."""
    waves, lengths, labels = zip(*(segments(data, split, MEASURED) for split in splits), strict=True)
    return torch.cat(waves), [*chain(*lengths)], [*chain(*labels)]


def row(waves: Tensor, estimates: Tensor, lengths: list[int], pitches: list[Pitch], rate: int) -> str:
    """Cells of the table."""
    rows = score(waves, estimates, lengths, pitches, rate)
    distances = mean(rows, "log_spectral_distance"), mean(rows, "multi_resolution_stft")
    return f"{distances[0]:.2f} | {distances[1]:.3f} | {in_pitch(rows)}"


def main() -> None:
    """Print the table."""
    arguments = brief.arguments_of_run(__doc__)
    arguments.add_argument("--starts", type=int, default=3, help="of Griffin-Lim: each is from another random phase")
    arguments.add_argument("--known", action="store_true", help="on the training sounds, not on the held-out ones")
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        settings = brief.settings([*brief.source(options.data), *options.overrides])
        module, data = brief.finished(options.run, settings)
    representation = module.representation
    waves, lengths, labels = sounds(data, ["train"] if options.known else ["validation", "test"])
    pitches = heard_pitches(waves, lengths, labels, representation.sample_rate)
    originals = representation(waves).split(inference.BATCH)  # as many at once as ``inference`` takes
    with torch.inference_mode():
        made = [module.reconstruct(part) for part in originals]
    print("| phase | LSD (dB) | MR-STFT | pitch right | pitch kept (%) | s |\n|---|---|---|---|---|---|")
    for name, way in ways(representation, options.starts).items():
        seconds = math.inf
        for _ in range(2):  # the first time is slower
            begin = time.perf_counter()
            estimates = torch.cat([way(*pair) for pair in zip(made, originals, strict=True)])
            seconds = min(seconds, time.perf_counter() - begin)
        cells = row(waves, estimates, lengths, pitches, representation.sample_rate)
        print(f"| {name} | {cells} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
