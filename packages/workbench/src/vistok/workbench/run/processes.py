"""The processes of one command: how many there are, which of them speaks, how they meet and part.

A launcher such as ``torchrun`` starts them and tells each its place in the environment. This is the only module of the
workbench that touches ``torch.distributed``.
"""

import gc
import os
from datetime import timedelta

import torch.distributed as dist

_SPOKEN = "vistok/spoken"
_PATIENCE = timedelta(seconds=5)


def process_index() -> int:
    """The place of this process among those of its launch; 0 if it was started alone."""
    return int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def speaks_first() -> bool:
    """Whether this process is the first of its launch to ask: one error, met by all, is told once.

    The processes ask the store that their launcher keeps for them, so this also holds before they have met and after
    one of them has gone. Where no store answers, every process may speak.
    """
    if process_count() == 1:
        return True
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(  # type: ignore[attr-defined]  # documented, but not re-exported
            host, port, is_master=False, wait_for_workers=False, timeout=_PATIENCE
        )
        return bool(store.add(_SPOKEN, 1) == 1)
    except (KeyError, ValueError, RuntimeError):
        return True


def close_processes() -> None:
    """Leave the process group, if there is one.

    A process that ends while the group's threads run is aborted now and then, after all its work is done. Models that
    were wrapped for several processes keep the group alive, and lie in cycles that only the collector frees.
    """
    if dist.is_available() and dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()
