"""The processes of one command: how many there are, which of them speaks, how they meet, divide work and part.

A launcher such as ``torchrun`` starts them and tells each its place in the environment. This is the only module of the
workbench that touches the process group of ``torch.distributed``.
"""

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from vistok.workbench.config import ConfigError

#: Of a process for one that has more to do; the launcher ends those that wait for a failed one.
LONGEST_WAIT = timedelta(days=7)

_ASKED, _SPOKEN = "vistok/asked", "vistok/spoken"
_PATIENCE = timedelta(seconds=5)
_FSDP = "ACCELERATE_USE_FSDP"
_BESIDE = "vistok-beside"
#: What a launcher of accelerate says without being asked: what changes a training is the recipe's to say.
_PLAIN = {
    "ACCELERATE_MIXED_PRECISION": "no",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
    "ACCELERATE_DYNAMO_BACKEND": "no",
}

_ValueT = TypeVar("_ValueT")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def process_index() -> int:
    """The place of this process among those of its launch; 0 if it was started alone."""
    return dist.get_rank() if _grouped() else int(os.environ.get("RANK", "0"))


def process_count() -> int:
    """How many processes the launcher started."""
    return dist.get_world_size() if _grouped() else int(os.environ.get("WORLD_SIZE", "1"))


def meet_processes() -> None:
    """Wait until every process of the launch is here; the first time, they join a group of the CPU and take a GPU each.

    A process alone goes on at once.
    """
    if process_count() == 1:
        return
    if not _grouped():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("gloo", timeout=LONGEST_WAIT)
    dist.barrier()


def divided(items: Sequence[_Item], work: Callable[[_Item], _Result]) -> Iterator[_Result]:
    """What ``work`` gives of each item, in order and on every process, where each process does that of every n-th item.

    Iterate to the end on all of them. At no time more than one result a process is on its way; they are pickled.

    Args:
        items: The same on every process.
        work: Depends on the item alone, not on who does it.

    Example:
        >>> list(divided([1, 2, 3], lambda item: item * item))
        [1, 4, 9]
    """
    rank, count = (process_index(), process_count()) if _grouped() else (0, 1)
    for start in range(0, len(items), count):
        together = items[start : start + count]
        own = work(together[rank]) if rank < len(together) else None
        results: list[Any] = [own]
        if count > 1:
            results = [None] * count
            dist.all_gather_object(results, own)
        yield from results[: len(together)]


def own_share(items: Tensor) -> Tensor:
    """Every n-th of some items, for n processes of which each has all: for what adds up over a group by itself."""
    return items[process_index() :: process_count()] if _grouped() else items


@contextlib.contextmanager
def speaking_first() -> Iterator[bool]:
    """Whether this process is the first of its launch to ask: one error, met by all, is told once.

    The others wait until it has spoken, as the launcher ends all of them when one has gone. The processes ask the store
    that their launcher keeps for them, so this also holds before they have met and after one of them has gone. Where no
    store answers, every process may speak.
    """
    store = None if process_count() == 1 else _launchers_store()
    try:
        first = store is None or store.add(_ASKED, 1) == 1
    except RuntimeError:
        store, first = None, True
    yield first
    if store is not None:
        with contextlib.suppress(RuntimeError):  # the first one, or the store, has gone
            store.set(_SPOKEN, "yes") if first else store.wait([_SPOKEN], _PATIENCE)


def _launchers_store() -> Any:
    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return dist.TCPStore(  # type: ignore[attr-defined]  # documented, but not re-exported
            host, port, is_master=False, wait_for_workers=False, timeout=_PATIENCE
        )
    except (KeyError, ValueError, RuntimeError):
        return None


def check_launcher() -> None:
    """Check that the launcher's configuration, such as one of ``accelerate config``, leaves the training as it is.

    Raises:
        ConfigError: It asks for mixed precision, accumulated gradients or compilation, which the recipe's settings say.
    """
    for name, plain in _PLAIN.items():
        if (got := os.environ.get(name, plain)).lower() != plain:
            key = name.removeprefix("ACCELERATE_").lower()
            raise ConfigError(
                f"accelerate's configuration: expected {key} {plain}, as the recipe's settings say it, got {got}"
            )


def launched_sharded() -> bool:
    """Whether the launcher's configuration, such as one of ``accelerate config``, asks for sharded weights (FSDP2).

    Raises:
        ConfigError: It asks for FSDP's first version, or for weights in the CPU's memory.
    """
    if os.environ.get(_FSDP, "false").lower() != "true":
        return False
    if (version := os.environ.get("FSDP_VERSION", "1")) != "2":
        raise ConfigError(f"accelerate's configuration: expected fsdp_version 2, got {version}")
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() == "true":
        raise ConfigError("accelerate's configuration: expected fsdp_offload_params false, got true")
    return True


@contextlib.contextmanager
def without_accelerates_sharding() -> Iterator[None]:
    """Within the block accelerate does not see that its configuration asks for FSDP: sharding is done here."""
    asked = os.environ.pop(_FSDP, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[_FSDP] = asked


def own_place() -> int:
    """The place of this process in its group; 0 where there is no group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gathered(value: _ValueT, group: Any = None) -> list[_ValueT]:
    """What each process says, in their order; all call this, and none goes on before the others.

    Args:
        value: This one's.
        group: Where they meet; by default in their first group, elsewhere what :func:`group_beside` gave.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values = [value] * dist.get_world_size()
    dist.all_gather_object(values, value, group=group)
    return values


def group_beside() -> Any:
    """Another group of all processes, on the CPU, for what they do together beside a training; all call this."""
    return dist.new_group(backend="gloo", timeout=LONGEST_WAIT) if _grouped() else None


def beside(work: Callable[[], _Result]) -> Future[_Result]:
    """Do some work on a thread of its own; :func:`close_processes` waits for it."""
    pool = ThreadPoolExecutor(1, thread_name_prefix=_BESIDE)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def close_processes() -> None:
    """Leave the process group, if there is one, once nothing runs beside.

    A process that ends while the group's threads run is aborted now and then, after all its work is done. Models that
    were wrapped for several processes keep the group alive, and lie in cycles that only the collector frees.
    """
    for thread in threading.enumerate():
        if thread.name.startswith(_BESIDE):
            thread.join()
    if _grouped():
        gc.collect()
        dist.destroy_process_group()


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()
