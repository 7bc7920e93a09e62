"""The training step: from the plain loop to ours, one change at a time, and where its time goes."""

import itertools
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from vae2ch import hardware
from vae2ch.bench import brief
from vae2ch.bench.clock import seconds, wait
from vae2ch.data import SoundDataModule
from vae2ch.model import LOGVAR, SHARPNESS, STRIDE, WIDTHS, Posterior
from vae2ch.run import build
from vae2ch.training import VAEModule


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
    bf16 = hardware.has_bf16(device)
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
    bf16 = hardware.has_bf16(device)
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
