"""The processes of one run: their numbers, and what all of them take from the first one."""

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

PARENT_DEATH_SIGNAL = 1  # sys/prctl.h: PR_SET_PDEATHSIG
WAIT = timedelta(minutes=30)  # for the first process, which reads the sounds


def rank() -> int:
    """Number of this process, 0 for the first; set by torchrun (RANK) or by Lightning (LOCAL_RANK)."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def shared(name: str, decide: Callable[[], Any]) -> Any:
    """What ``decide`` returns, that of the first process if torchrun has started several; it can be pickled.

    Processes that Lightning starts are given the folder, and begin when the first one has written its files.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return decide()
    from torch.distributed import TCPStore

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=WAIT)
    key = f"vae2ch/{os.environ['TORCHELASTIC_RESTART_COUNT']}/{name}"
    if rank() == 0:
        store.set(key, pickle.dumps(decide()))
    return pickle.loads(store.get(key))


def end_with_parent() -> None:
    """Let the system end this process when the one that started it ends; on Linux, else do nothing."""
    if sys.platform == "linux" and rank() > 0:
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
