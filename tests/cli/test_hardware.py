import ctypes
import os
import sys
from dataclasses import replace

import pytest
import torch

from tests.helpers import compose, python
from vae2ch.cli import hardware
from vae2ch.errors import InputError

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")
CPU_PRECISION = "bf16-mixed" if hardware.has_bf16("cpu") else "32-true"
MEMORY = """
import ctypes
from vae2ch.cli import hardware

def resident_after_use():
    block = ctypes.create_string_buffer(100_000_000)
    ctypes.memset(block, 1, 100_000_000)
    del block
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before = resident_after_use()
hardware.keep_freed_memory()
print(resident_after_use() - before)
"""


def test_auto_and_null_are_replaced_for_this_machine():
    made = compose()
    resolved = hardware.resolve(made)
    assert (made.trainer.accelerator, made.trainer.precision, made.data.workers) == ("auto", "auto", None)
    assert resolved.trainer == replace(made.trainer, accelerator="cpu", precision=CPU_PRECISION)
    assert resolved.data == replace(made.data, workers=0)
    assert replace(resolved, trainer=made.trainer, data=made.data) == made


def test_explicit_settings_are_kept():
    made = compose("trainer=gpu", "trainer.precision=32-true", "data.workers=3")
    assert hardware.resolve(made) == made


def test_more_workers_than_cores_are_rejected(monkeypatch):
    monkeypatch.setattr(hardware, "available_cores", lambda: 6)
    assert hardware.resolve(compose("data.workers=6")).data.workers == 6
    with pytest.raises(InputError, match=r"^data\.workers=7: this machine has 6 cores; allowed: 0 to 6$"):
        hardware.resolve(compose("data.workers=7"))


@pytest.mark.parametrize("accelerator", ["gpu", "mps"])
def test_a_device_that_is_missing_has_no_bf16(accelerator):
    assert not hardware.has_bf16(accelerator)


def test_a_gpu_gets_a_few_workers_and_a_cpu_none():
    assert hardware.default_workers("cpu", 1) == 0
    assert 0 <= hardware.default_workers("gpu", 1) <= hardware.MAX_WORKERS
    assert hardware.default_workers("gpu", 10_000) == 0


def test_the_best_device_of_this_machine_is_its_cpu():
    assert hardware.best_accelerator() == "cpu"
    assert hardware.inference_device("auto") == hardware.inference_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_missing_is_rejected(name):
    with pytest.raises(InputError, match=f"--device {name}: this machine has none; allowed: cpu$"):
        hardware.inference_device(name)


def test_inference_uses_bf16_where_the_device_has_it():
    assert hardware.autocast_dtype("cpu") == (torch.bfloat16 if hardware.has_bf16("cpu") else None)
    assert hardware.autocast_dtype("cuda") is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (3, 3), (64, 8)])
def test_a_quota_limits_threads_and_workers(quota, cores, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(hardware, "cpu_quota", lambda: quota)
    torch.set_num_threads(8)
    hardware.limit_threads()
    assert torch.get_num_threads() == cores
    assert hardware.default_workers("gpu", 1) == min(hardware.MAX_WORKERS, cores - 1)
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    hardware.limit_threads(processes=8)  # the user's number stays
    assert torch.get_num_threads() == cores
    monkeypatch.delenv("OMP_NUM_THREADS")
    hardware.limit_threads(processes=2)
    assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (cores // 2, str(cores // 2))


@pytest.mark.slow
@pytest.mark.skipif(not GLIBC, reason="needs glibc")
def test_freed_memory_stays_with_the_process():
    done = python("-c", MEMORY)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 90_000_000
