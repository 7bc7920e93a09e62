"""How long a call takes on a device."""

import statistics
import time
from collections.abc import Callable

import torch

ROUNDS = 3


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device != "cpu":
        torch.accelerator.synchronize()


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
