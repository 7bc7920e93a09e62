"""How fast everything is on this machine, beside what it replaces: ``make bench-speed``.

Everything is measured in one run, so that the ratios hold where the figures do not. The tables go to
the standard output and the figures to ``speed.json``.
"""

import argparse
import itertools
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from torchaudio.transforms import GriffinLim

from vae2ch import audio, hardware, inference
from vae2ch.bench import brief
from vae2ch.data import SoundDataModule
from vae2ch.model import LOGVAR, SHARPNESS, STRIDE, WIDTHS, Posterior
from vae2ch.run import build
from vae2ch.training import VAEModule

ROOT = Path(__file__).parents[2]
ROUNDS = 3
MATRIX = 4096


class Plain(nn.Module):
    """The same network as one writes it at first: torch's convolutions, nothing else."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int) -> None:
        super().__init__()
        down = [nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise((2, *WIDTHS))]
        up = [nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in itertools.pairwise(WIDTHS[::-1])]
        self.encoder = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in down)))[:-1]
        self.decoder = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in up)))
        self.shape = (WIDTHS[-1], bins // STRIDE, frames // STRIDE)
        self.into = nn.Linear(math.prod(self.shape), 2 * latent_dim)
        self.out = nn.Linear(latent_dim, math.prod(self.shape))
        self.magnitude = nn.ConvTranspose2d(WIDTHS[0], 1, 2, stride=2)
        self.frequency = nn.ConvTranspose2d(WIDTHS[0], 1, 2, stride=2)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Posterior]:
        mean, logvar = self.into(self.encoder(spectrogram).flatten(1)).float().chunk(2, dim=1)
        posterior = Posterior(mean, logvar.clamp(*LOGVAR))
        features = self.decoder(self.out(posterior.sample()).unflatten(1, self.shape))
        magnitude = functional.softplus(self.magnitude(features).float(), beta=SHARPNESS)
        return torch.cat([magnitude, torch.tanh(self.frequency(features).float())], dim=1), posterior


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str, least: float = 2.0) -> float:
    """Of one call: the median of several rounds, each of at least so many seconds together."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        wait(device)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < least / ROUNDS or count < 2:
            call()
            wait(device)
            count += 1
        rounds.append((time.perf_counter() - begin) / count)
    return statistics.median(rounds)


def peaks(device: str) -> dict[str, float]:
    """GFLOP/s of a large matrix product, what the machine can do at best."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(MATRIX, MATRIX, device=device, dtype=dtype)
        found[str(dtype).removeprefix("torch.")] = 2e-9 * MATRIX**3 / seconds(lambda m=matrix: m @ m, device)
    return found


def stepper(network: nn.Module, module: VAEModule, batch: Tensor, bf16: bool, fused: bool) -> Callable[[], None]:
    """One training step of a network on a batch of spectrograms."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=fused)

    def step() -> None:
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            predicted, posterior = network(batch)
        module.terms(predicted, batch, posterior)["loss"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ladder(settings: dict, device: str, size: int) -> tuple[dict[str, float], float]:
    """Examples per second from the plain loop to ours, one change after the other; and GFLOP of an example."""
    module = build(settings)[1]
    module = module.to(device)
    bins, frames = module.vae.padded
    batch = torch.rand(size, 2, bins, frames, device=device)

    def plain() -> Plain:
        return Plain(bins=bins, frames=frames, latent_dim=module.vae.latent_dim).to(device)

    last = {"memory_format": torch.channels_last}
    bf16 = hardware.has_bf16({"cuda": "gpu"}.get(device, device))
    rungs: list[tuple[str, Callable[[], Callable[[], None]]]] = [
        ("plain loop: float32, contiguous", lambda: stepper(plain(), module, batch, False, False)),
        ("+ channels last", lambda: stepper(plain().to(**last), module, batch.contiguous(**last), False, False)),
        ("+ bf16", lambda: stepper(plain().to(**last), module, batch.contiguous(**last), bf16, False)),
        ("+ layers as matrix products", lambda: stepper(module.vae, module, batch, bf16, False)),
        ("+ fused AdamW", lambda: stepper(module.vae, module, batch, bf16, True)),
    ]
    rates = {name: size / seconds(build(), device, least=9.0) for name, build in rungs}
    hardware.keep_memory()
    rates["+ freed memory kept (what train.py does)"] = size / seconds(rungs[-1][1](), device, least=9.0)
    counter = FlopCounterMode(display=False)
    with counter:
        stepper(plain(), module, batch[:1], False, False)()
    return rates, counter.get_total_flops() / 1e9


def anatomy(settings: dict, data: SoundDataModule, device: str, steps: int = 20) -> dict[str, float]:
    """Milliseconds of each part of a training step, at the configured batch size."""
    module = build(settings)[1]
    module = module.to(device)
    bf16 = hardware.has_bf16({"cuda": "gpu"}.get(device, device))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)
    spent: dict[str, list[float]] = {}

    def lap(name: str, begin: float) -> float:
        wait(device)
        spent.setdefault(name, []).append(1e3 * (time.perf_counter() - begin))
        return time.perf_counter()

    batches = itertools.cycle(data.train_dataloader())
    for _ in range(steps + 3):
        begin = time.perf_counter()
        item = next(batches)
        begin = lap("read and vary", begin)
        batch = data.on_after_batch_transfer(type(item)(*(part.to(device) for part in item)), 0)
        begin = lap("analyse", begin)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            predicted, posterior = module.vae(batch.spectrogram)
        begin = lap("forward", begin)
        loss = module.terms(predicted, batch.spectrogram, posterior)["loss"]
        begin = lap("loss", begin)
        loss.backward()
        begin = lap("backward", begin)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        begin = lap("clip", begin)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        lap("AdamW", begin)
    return {name: statistics.median(laps[3:]) for name, laps in spent.items()}


def whole_step(settings: dict, data: SoundDataModule, steps: int = 60) -> float:
    """Examples per second of the real training, Lightning and data included."""
    module = build(settings)[1]
    brief.fit(module, data, None, steps=5)
    begin = time.perf_counter()
    brief.fit(module, data, None, steps=steps)
    return steps * settings["data"]["batch_size"] / (time.perf_counter() - begin)


def sound(settings: dict, device: str) -> dict[str, float]:
    """Multiples of real time: analysis, synthesis, Griffin-Lim, a long file through the model."""
    module = build(settings)[1]
    module = module.to(device).eval().requires_grad_(False)
    representation = module.representation
    rate = representation.sample_rate
    waves = torch.randn(16, representation.segment, device=device) * 0.1
    spectrogram = representation(waves)
    long = torch.randn(120 * rate, device=device) * 0.1
    griffin_lim = GriffinLim(representation.n_fft, 64, hop_length=representation.hop, power=1.0).to(device)
    amplitude = representation.amplitude(spectrogram[:, 0])
    duration = waves.numel() / rate
    return {
        "analysis": duration / seconds(lambda: representation(waves), device),
        "synthesis of what a decoder makes": duration
        / seconds(lambda: inference.synthesise(representation, spectrogram), device),
        "torchaudio's GriffinLim, 64 iterations": duration / seconds(lambda: griffin_lim(amplitude), device),
        "reconstruction of 120 s, the model included": 120
        / seconds(lambda: inference.reconstruct(module, long), device),
    }


def timed(*arguments: str, until: str | None = None) -> float:
    """Seconds from the start of a Python command to its end, or to a line that holds ``until``."""
    begin = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        for line in running.stdout:
            if until is not None and until in line:
                found = time.perf_counter() - begin
                running.kill()
                return found
    return time.perf_counter() - begin


def starting() -> dict[str, float]:
    """Seconds until an answer, or the first step of a training."""
    train = str(ROOT / "train.py")
    with tempfile.TemporaryDirectory() as place:
        folder = [f"hydra.run.dir={place}/run", f"data.root={place}/notes", f"data.cache={place}/cache"]
        first = timed(train, *folder, until="first step")
        again = timed(train, *folder, until="first step")
    return {
        "train.py --help": timed(train, "--help"),
        "a refusal (preset=hevy)": timed(train, "preset=hevy"),
        "importing torch and Lightning": timed("-c", "import torch, lightning.pytorch"),
        "first step, notes to be synthesised and decoded": first,
        "first step, the same folder again": again,
    }


def synthetic(root: Path, count: int) -> None:
    """So many files of a fifth of a second of noise, a thousand to a folder."""
    random = np.random.default_rng(0)
    for number in range(count):
        wave = random.normal(0, 0.1, 3200).astype(np.float32)
        audio.write(root / f"{number // 1000:03d}" / f"{number:06d}.wav", wave, 16000, "PCM_16")


def growth_of(root: Path, cache: Path) -> dict[str, float]:
    """Seconds to scan, to scan again, of one batch; and memory, in this process."""
    settings = brief.settings(["data=folder", f"data.root={root}", f"data.cache={cache}"])
    laps = {}
    for name in ("scan (s)", "scan again (s)"):
        begin = time.perf_counter()
        data = build(settings)[0]
        data.setup()
        laps[name] = time.perf_counter() - begin
    batches = iter(data.train_dataloader())
    next(batches)
    begin = time.perf_counter()
    for item in itertools.islice(batches, 20):
        data.on_after_batch_transfer(item, 0)
    laps["data for a step (ms)"] = 1e3 * (time.perf_counter() - begin) / 20
    laps["peak memory (MB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return laps


def growth(counts: list[int]) -> Iterator[tuple[int, dict[str, float]]]:
    """``growth_of`` synthetic collections, each in a process of its own."""
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            synthetic(Path(place) / "sounds", count)
            command = [sys.executable, "-m", "vae2ch.bench.speed", "--growth-of", f"{place}/sounds", f"{place}/cache"]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            yield count, json.loads(printed.splitlines()[-1])


def table(title: str, rows: dict[str, list[str]], columns: list[str]) -> None:
    """A table in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.flush()


def main() -> None:
    """Measure everything, print the tables, write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=int, nargs="*", default=[100, 1000, 10_000, 100_000])
    arguments.add_argument("--batch", type=int, default=16, help="of the comparison with the plain loop")
    arguments.add_argument("--out", type=Path, default=Path("outputs/bench-speed"))
    arguments.add_argument("--growth-of", type=Path, nargs=2, metavar=("ROOT", "CACHE"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.growth_of:
        print(json.dumps(growth_of(*options.growth_of)))
        return
    device = hardware.device("auto")
    settings = brief.settings()
    data = build(settings)[0]
    data.setup()
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{device}, {name}; torch {torch.__version__}; bf16 {hardware.has_bf16({'cuda': 'gpu'}.get(device, device))}")

    found: dict[str, dict] = {"peak (GFLOP/s)": peaks(device)}
    best = max(found["peak (GFLOP/s)"].values())
    table("4096 matrix product", {k: [f"{v:.0f}"] for k, v in found["peak (GFLOP/s)"].items()}, ["GFLOP/s"])

    rates, gflop = ladder(settings, device, options.batch)
    found["training (examples/s)"] = rates
    plain = next(iter(rates.values()))
    rows = {k: [f"{v:.1f}", f"{v / plain:.2f}", f"{100 * v * gflop / best:.0f} %"] for k, v in rates.items()}
    table(f"step, batch {options.batch}, {gflop:.2f} GFLOP an example", rows, ["examples/s", "ratio", "of the peak"])

    found["step (ms)"] = anatomy(settings, data, device)
    whole = sum(found["step (ms)"].values())
    rows = {k: [f"{v:.1f}", f"{100 * v / whole:.0f} %"] for k, v in found["step (ms)"].items()}
    table(f"where a step of {settings['data']['batch_size']} goes", rows, ["ms", "share"])
    size = settings["data"]["batch_size"]
    fed = size / (found["step (ms)"]["read and vary"] + found["step (ms)"]["analyse"]) * 1e3
    used = size / (whole - found["step (ms)"]["read and vary"] - found["step (ms)"]["analyse"]) * 1e3
    found["whole training (examples/s)"] = {"with Lightning": whole_step(settings, data), "data alone": fed}
    rows = {"data path alone": [f"{fed:.0f}", f"{fed / used:.1f}"], "network alone": [f"{used:.1f}", "1.0"]}
    rows["whole training, Lightning and data included"] = [
        f"{found['whole training (examples/s)']['with Lightning']:.1f}",
        "",
    ]
    table("supply and demand", rows, ["examples/s", "ratio"])

    found["sound (x real time)"] = sound(settings, device)
    slow = found["sound (x real time)"]["torchaudio's GriffinLim, 64 iterations"]
    rows = {k: [f"{v:.0f}", f"{v / slow:.1f}"] for k, v in found["sound (x real time)"].items()}
    table("sound", rows, ["x real time", "x GriffinLim"])

    found["start (s)"] = starting()
    table("starting", {k: [f"{v:.1f}"] for k, v in found["start (s)"].items()}, ["s"])

    found["growth"] = dict(growth(options.files))
    if found["growth"]:
        columns = list(next(iter(found["growth"].values())))
        rows = {f"{count:,} files": [f"{v:.1f}" for v in row.values()] for count, row in found["growth"].items()}
        table("collections of 0.2 s each", rows, columns)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
