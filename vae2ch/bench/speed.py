"""Time training steps, data, synthesis, start-up, saving and scans, with plain baselines; prints Markdown tables."""

import math
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, cycle, islice, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from torchaudio.transforms import GriffinLim

from vae2ch import audio, phase
from vae2ch.bench import common
from vae2ch.cli import CONF, hardware
from vae2ch.cli.run import build
from vae2ch.cli.settings import compose
from vae2ch.codec import CHECKPOINT_KEY, STATE_PREFIX, SoundCodec
from vae2ch.config import RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.data.dataset import Item
from vae2ch.model import CHANNELS, LOGVAR_RANGE, SOFTPLUS_BETA, STRIDE, WIDTHS, Posterior
from vae2ch.training import CodecTraining
from vae2ch.training.checkpoint_io import LAST, DurableCheckpointIO
from vae2ch.training.optimiser import build_optimiser
from vae2ch.training.terms import SegmentTerms, batch_terms, segment_terms

MIN_CALLS, WARMUP_STEPS, STEPS = 5, 3, 20


def clock(device: str) -> float:
    """Time in seconds, once the device has finished its work."""
    if device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def seconds_per_call(call: Callable[[], object], device: str, minimum: float = 2.0) -> float:
    """Median of calls that take at least ``minimum`` seconds together."""
    call()
    times = [clock(device)]
    while times[-1] - times[0] < minimum or len(times) < MIN_CALLS:
        call()
        times.append(clock(device))
    return statistics.median(end - begin for begin, end in pairwise(times))


class Plain(nn.Module):
    """The function of ``VAE`` with torch's convolutions, without optimisation."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int) -> None:
        super().__init__()
        down = [nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise((CHANNELS, *WIDTHS))]
        up = [nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairwise(WIDTHS[::-1])]
        self.encoder = nn.Sequential(*chain(*((layer, nn.ReLU()) for layer in down)))[:-1]
        self.decoder = nn.Sequential(*chain(*((layer, nn.ReLU()) for layer in up)))
        self.shape = (WIDTHS[-1], bins // STRIDE, frames // STRIDE)
        self.to_latent = nn.Linear(math.prod(self.shape), 2 * latent_dim)
        self.from_latent = nn.Linear(latent_dim, math.prod(self.shape))
        self.magnitude_head, self.frequency_head = (nn.ConvTranspose2d(WIDTHS[0], 1, 2, stride=2) for _ in range(2))

    def forward(self, spectrogram: Tensor, noise: Tensor) -> tuple[Tensor, Posterior]:
        mean, logvar = self.to_latent(self.encoder(spectrogram).flatten(1)).float().chunk(2, dim=1)
        posterior = Posterior(mean, logvar.clamp(*LOGVAR_RANGE))
        features = self.decoder(self.from_latent(posterior.sample(noise)).unflatten(1, self.shape))
        magnitude = functional.softplus(self.magnitude_head(features).float(), beta=SOFTPLUS_BETA)
        return torch.cat([magnitude, torch.tanh(self.frequency_head(features).float())], dim=1), posterior


def loss_of(module: CodecTraining, segments: SegmentTerms) -> Tensor:
    """The loss of a batch, at the final KL weight."""
    return batch_terms(segments, module.config, module.config.kl_weight)["loss"]


def build_step(network: nn.Module, module: CodecTraining, batch: Tensor, bf16: bool, fused: bool) -> Callable[[], None]:
    """One training step of a network on a batch of spectrograms, with the loss of ``module``."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5, fused=fused)

    def step() -> None:
        noise = torch.randn(len(batch), module.codec.vae.latent_dim, device=batch.device)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            predicted, posterior = network(batch, noise)
        loss_of(module, segment_terms(predicted, batch, posterior)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ladder(config: RunConfig, device: str, size: int) -> tuple[dict[str, float], float]:
    """Segments per second from the plain loop to the real step, each with one more change; and GFLOP per segment."""
    module = build(config)[1].to(device)
    vae, bf16 = module.codec.vae, hardware.autocast_dtype(device) is not None
    bins, frames = vae.size
    batch = torch.rand(size, CHANNELS, bins, frames, device=device)
    plain = Plain(bins=bins, frames=frames, latent_dim=vae.latent_dim).to(device)
    with (counter := FlopCounterMode(display=False)):
        build_step(plain, module, batch[:1], bf16=False, fused=False)()
    rates = {}

    def measure(name: str, network: nn.Module, *, bf16: bool = bf16, fused: bool = False) -> None:
        step = build_step(network, module, batch, bf16, fused)
        rates[name] = size / seconds_per_call(step, device, minimum=9.0)

    measure("plain loop: float32, contiguous", plain, bf16=False)
    plain, batch = (part.to(memory_format=torch.channels_last) for part in (plain, batch))
    measure("+ channels last", plain, bf16=False)
    measure("+ bf16", plain)
    measure("+ layers as matrix products", vae)
    measure("+ fused Adam", vae, fused=True)
    hardware.keep_freed_memory()
    measure("+ freed memory kept (as train.py does)", vae, fused=True)
    return rates, counter.get_total_flops() / 1e9


def anatomy(config: RunConfig, data: SoundDataModule, device: str) -> dict[str, float]:
    """Milliseconds of each part of a training step, at the configured batch size."""
    module, dtype = build(config)[1].to(device), hardware.autocast_dtype(device)
    optimizer = build_optimiser(module.codec.vae, replace(module.config, learning_rate=1e-5))
    batches = cycle(data.train_dataloader())

    def step() -> Iterator[str]:
        item = next(batches)
        yield "read and augment"
        batch = data.analyse(Item(*(part.to(device) for part in item)))
        yield "analyse"
        with torch.autocast(device, dtype, enabled=dtype is not None):
            noise = torch.randn(len(batch.index), module.codec.vae.latent_dim, device=device)
            predicted, posterior = module.codec.vae(batch.spectrogram, noise)
        yield "forward"
        loss = loss_of(module, segment_terms(predicted, batch.spectrogram, posterior))
        yield "loss"
        loss.backward()
        yield "backward"
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        yield "clip"
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield "Adam and decay"

    laps: dict[str, list[float]] = {}
    for _ in range(WARMUP_STEPS + STEPS):
        begin = clock(device)
        for part in step():
            end = clock(device)
            laps.setdefault(part, []).append(1e3 * (end - begin))
            begin = end
    return {part: statistics.median(times[WARMUP_STEPS:]) for part, times in laps.items()}


def training_rate(config: RunConfig, data: SoundDataModule, steps: int = 60) -> float:
    """Segments per second of a real training, with Lightning and the data."""
    begin = time.perf_counter()
    common.fit(config, build(config)[1], data, steps)
    return steps * config.data.batch_size / (time.perf_counter() - begin)


def matrix_product(dtype: torch.dtype, device: str) -> float:
    """GFLOP/s of the product of two matrices of 4096 x 4096, the most that the machine can do."""
    matrix = torch.randn(4096, 4096, device=device, dtype=dtype)
    return 2e-9 * 4096**3 / seconds_per_call(lambda: matrix @ matrix, device)


@torch.no_grad()
def sound(codec: SoundCodec, device: str) -> dict[str, float]:
    """Multiples of real time of Griffin-Lim, analysis, synthesis, and reconstruction of a long sound."""
    codec = codec.to(device).eval()
    representation, rate = codec.representation, codec.sample_rate
    waves, long = (0.1 * torch.randn(*size, device=device) for size in ((16, codec.segment), (1, 120 * rate)))
    decoded, level = codec.spectrogram(codec.latents.stored_means()[:16]), torch.ones(16, device=device)
    magnitude = representation.magnitude(representation(waves).spectrogram[:, 0])
    griffin_lim = GriffinLim(representation.n_fft, 64, hop_length=representation.hop, power=1.0).to(device)
    calls = {
        "GriffinLim of torchaudio, 64 iterations": (waves, lambda: griffin_lim(magnitude)),
        "analysis": (waves, lambda: representation(waves)),
        "synthesis of decoded spectrograms": (waves, lambda: phase.synthesise(representation, decoded, level)),
        "reconstruction of 120 s, with the model": (long, lambda: codec.reconstruct(long)),
    }
    return {name: wave.numel() / rate / seconds_per_call(call, device) for name, (wave, call) in calls.items()}


def process_seconds(*arguments: str, cwd: str, status: int = 0, until: str = "\0") -> float:
    """Seconds from the start of a Python command to its end, or to a line that contains ``until``."""
    begin, command = time.perf_counter(), [sys.executable, "-u", *arguments]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            if until in line:
                process.kill()
                return time.perf_counter() - begin
    if process.returncode != status:
        raise RuntimeError(f"{arguments} ended with status {process.returncode}")
    return time.perf_counter() - begin


def starting(codec: SoundCodec) -> dict[str, float]:
    """Seconds that commands take to answer, or to the first step of a training."""
    train = str(CONF.parent / "train.py")
    with tempfile.TemporaryDirectory() as place:
        state = {STATE_PREFIX + name: value.cpu() for name, value in codec.state_dict().items()}
        torch.save({CHECKPOINT_KEY: codec.description(), "state_dict": state}, f"{place}/untrained.ckpt")
        audio.write(Path(place, "short.wav"), np.ones(codec.sample_rate, np.float32), codec.sample_rate)
        reconstruct = ("-m", "vae2ch", "reconstruct", "untrained.ckpt", "short.wav", "--out", "out")
        return {
            "train.py --help": process_seconds(train, "--help", cwd=place),
            "an error message (preset=hevy)": process_seconds(train, "preset=hevy", cwd=place, status=2),
            "from vae2ch import SoundCodec": process_seconds("-c", "from vae2ch import SoundCodec", cwd=place),
            "python -m vae2ch reconstruct, one second": process_seconds(*reconstruct, cwd=place),
            "first step, built-in notes to be rendered": process_seconds(train, cwd=place, until="first step"),
            "first step, the same again": process_seconds(train, cwd=place, until="first step"),
        }


def saving(config: RunConfig) -> dict[str, float]:
    """Seconds of a save of ``last.ckpt`` in this folder's file system, and their part of the time between two saves."""
    codec = build(config)[1].codec
    weights = codec.state_dict()
    # two moments and the initial weight
    checkpoint = {"state_dict": weights, "state": [{k: v.clone() for k, v in weights.items()} for _ in range(3)]}
    with tempfile.TemporaryDirectory(dir=".") as place:
        path = Path(place, LAST)
        seconds = seconds_per_call(lambda: DurableCheckpointIO().save_checkpoint(checkpoint, path), "cpu", minimum=5.0)
        size = path.stat().st_size / 1e6
    return {"size (MB)": size, "seconds": seconds, "% of the time": 100 * seconds / (60 * config.save_minutes)}


def collection_costs(place: str) -> list[str]:
    """Seconds of two scans, milliseconds of data for a step, and peak memory of this process in MB."""
    source = [f"data.root={place}/sounds", f"data.cache={place}/cache"]
    config = hardware.resolve(compose(["name=bench", "data=folder", "preset=light", *source]))
    times = [time.perf_counter()]
    for _ in range(2):
        data = build(config)[0]
        data.setup()
        times.append(time.perf_counter())
    batches = iter(data.train_dataloader())
    for count in (1, STEPS):  # the first batch starts the workers
        for item in islice(batches, count):
            data.analyse(item)
        times.append(time.perf_counter())
    first, second, _, steps = (end - begin for begin, end in pairwise(times))
    status = Path("/proc/self/status")  # of Linux; getrusage would include the parent process
    memory = int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024 if status.exists() else math.nan
    return [f"{first:.1f}", f"{second:.1f}", f"{1e3 * steps / STEPS:.1f}", f"{memory:.0f}"]


def growth(count: int) -> list[str]:
    """Costs of a collection of ``count`` files of 0.2 s of noise, a thousand to a folder."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        for number in range(count):
            wave = random.normal(0, 0.1, 3200).astype(np.float32)
            audio.write(Path(place, "sounds", str(number // 1000), f"{number:06d}.wav"), wave, 16000, "PCM_16")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # for a peak memory of its own
            return pool.submit(collection_costs, place).result()


def show(title: str, rows: dict[str, float], columns: dict[str, float]) -> None:
    """Print a table of values, each column multiplied by a factor."""
    cells = [[name, *(f"{value * factor:,.4g}" for factor in columns.values())] for name, value in rows.items()]
    print(f"\n{common.table([title, *columns], cells)}", flush=True)


def measure(config: RunConfig, device: str, batch: int) -> None:
    """Measure everything but collections."""
    data, module = build(config)
    data.setup()
    peak = {str(dtype): matrix_product(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
    show("product of matrices of 4096 x 4096", peak, {"GFLOP/s": 1})
    rates, gflop = ladder(config, device, batch)
    plain, percent = next(iter(rates.values())), 100 * gflop / max(peak.values())
    columns = {"segments/s": 1, "ratio": 1 / plain, "of the peak (%)": percent}
    show(f"step, batch {batch}, {gflop:.2f} GFLOP/segment", rates, columns)
    parts, size = anatomy(config, data, device), config.data.batch_size
    whole, supply = sum(parts.values()), parts["read and augment"] + parts["analyse"]
    show(f"parts of a step, batch {size}", parts, {"ms": 1, "%": 100 / whole})
    rates = {"data alone": 1e3 * size / supply, "network alone": 1e3 * size / (whole - supply)}
    show("supply and demand", rates | {"training with Lightning": training_rate(config, data)}, {"segments/s": 1})
    speeds = sound(module.codec, device)
    show("sound", speeds, {"x real time": 1, "ratio": 1 / next(iter(speeds.values()))})
    show("starting", starting(module.codec), {"s": 1})
    show("saving last.ckpt", saving(config), {"": 1})


def main() -> None:
    """Parse the arguments and measure."""
    parser = common.build_parser("speed", __doc__, "--data sounds/ --files 100 1000 representation=44k")
    parser.add_argument(
        "--files",
        metavar="N",
        type=common.integer_from(1),
        nargs="*",
        default=[100, 1000, 10_000, 100_000],
        help="sizes of the collections that are scanned",
    )
    common.add_numbers(parser, ("batch", 16, "segments of a step in the comparison of steps"))
    with common.one_line_errors():
        options = parser.parse_intermixed_args()
        device = hardware.inference_device("auto")
        name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
        print(f"{device}, {name}; torch {torch.__version__}; {hardware.autocast_dtype(device) or 'no bf16'}")
        measure(common.settings(options.data, options.overrides), device, options.batch)
        columns = ["collection", "scan (s)", "scan again (s)", "data for a step (ms)", "peak memory (MB)"]
        print(f"\n{common.table(columns, ([f'{count:,} files', *growth(count)] for count in options.files))}")


if __name__ == "__main__":
    main()
