"""A trace of some steps of a training: what ran when, on the CPU and on the device."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.profiler import profile, schedule

logger = logging.getLogger(__name__)

_BEFORE = 1  # the first step is like no other
_WARMUP = 2  # what the profiler itself needs to settle


@contextlib.contextmanager
def profiled(path: Path, steps: int) -> Iterator[Callable[[], None]]:
    """Give a function to call after each step; trace ``steps`` of them, once three are done.

    Args:
        path: A Chrome trace (``chrome://tracing``, Perfetto), written when the last of them is done.
        steps: How many; 0 for none, and then nothing is slower.
    """
    if not steps:
        yield lambda: None
        return

    def write(trace: Any) -> None:
        trace.export_chrome_trace(str(path))
        logger.info("trace of %d steps in %s", steps, path)

    with profile(
        schedule=schedule(wait=_BEFORE, warmup=_WARMUP, active=steps, repeat=1), on_trace_ready=write
    ) as trace:
        yield trace.step
