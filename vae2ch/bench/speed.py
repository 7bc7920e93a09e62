"""How fast everything is on this machine, beside what it replaces: ``make bench-speed``.

Everything is measured in one run, so that the ratios hold where the figures do not. The tables go to
the standard output and the figures to ``speed.json``.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torchaudio.transforms import GriffinLim

from vae2ch import hardware, inference
from vae2ch.bench import brief
from vae2ch.bench.clock import seconds
from vae2ch.bench.growth import growth, starting
from vae2ch.bench.step import anatomy, ladder, whole_step
from vae2ch.run import build
from vae2ch.synthesis import synthesise

MATRIX = 4096


def peaks(device: str) -> dict[str, float]:
    """GFLOP/s of a large matrix product, what the machine can do at best."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(MATRIX, MATRIX, device=device, dtype=dtype)
        found[str(dtype).removeprefix("torch.")] = 2e-9 * MATRIX**3 / seconds(lambda m=matrix: m @ m, device)
    return found


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
        / seconds(lambda: synthesise(representation, spectrogram), device),
        "torchaudio's GriffinLim, 64 iterations": duration / seconds(lambda: griffin_lim(amplitude), device),
        "reconstruction of 120 s, the model included": 120
        / seconds(lambda: inference.reconstruct(module, long), device),
    }


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
    options = arguments.parse_args()
    device = hardware.device("auto")
    settings = brief.settings()
    data = build(settings)[0]
    data.setup()
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{device}, {name}; torch {torch.__version__}; bf16 {hardware.has_bf16(device)}")

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
