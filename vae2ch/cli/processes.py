"""The processes of one run: what the first one decides, the others take from it before they can communicate."""

import base64
import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

ENVIRONMENT = "VAE2CH_SHARED_"  # of variables that a process started by the first one inherits
PARENT_DEATH_SIGNAL = 1  # sys/prctl.h: PR_SET_PDEATHSIG
WAIT = timedelta(minutes=30)  # for the first process, which reads the sounds


def rank() -> int:
    """Number of this process, 0 for the first; set by torchrun (RANK) or by Lightning (LOCAL_RANK)."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def shared(name: str, decide: Callable[[], Any]) -> Any:
    """What ``decide`` returns in the first process, in all of them; it can be pickled."""
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun starts all processes at once, with a store
        return shared_by_torchrun(name, decide)
    if rank() == 0:
        value = decide()
        os.environ[ENVIRONMENT + name] = base64.b64encode(pickle.dumps(value)).decode()
        return value
    return pickle.loads(base64.b64decode(os.environ[ENVIRONMENT + name]))


def shared_by_torchrun(name: str, decide: Callable[[], Any]) -> Any:
    """``shared`` through the store of torchrun's agent."""
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
