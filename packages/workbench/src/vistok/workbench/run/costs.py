"""What a stage costs: the time on the clock, the time of all processors, the most memory that it held."""

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

WALL, CPU, MEMORY = "wall_seconds", "cpu_seconds", "peak_memory_bytes"
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextlib.contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Give a mapping that holds what the block cost once it has ended, however it ended.

    Wall and CPU seconds, the CPU's of all threads and of ended child processes; and the peak of this process's resident
    memory in bytes. Where the system cannot forget an earlier peak (anything but Linux), that of the whole process.
    """
    cost: dict[str, float] = {}
    with contextlib.suppress(OSError):
        _RESET.write_text("5")
    wall, cpu = time.monotonic(), _cpu_seconds()
    try:
        yield cost
    finally:
        cost |= {WALL: time.monotonic() - wall, CPU: _cpu_seconds() - cpu, MEMORY: _peak_memory()}


def with_earlier(cost: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    """The cost of work that was interrupted, with what it had cost before: times add up, the larger peak stays.

    Example:
        >>> with_earlier({"wall_seconds": 2.0, "peak_memory_bytes": 5}, {"wall_seconds": 3.0, "peak_memory_bytes": 4})
        {'wall_seconds': 5.0, 'peak_memory_bytes': 5}
    """
    return {
        key: max(value, earlier.get(key, 0)) if key == MEMORY else value + earlier.get(key, 0.0)
        for key, value in cost.items()
    }


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _peak_memory() -> int:
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
