"""How the C library serves memory: large tensors from what was freed before, not from fresh pages each time."""

import ctypes
import os

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's mallopt
_KEPT = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """Let glibc keep up to a gibibyte that was freed, and serve blocks of up to that size from it.

    By default each block of more than 32 MiB is new to the process: the system clears and maps its pages at every use,
    a third to a half of the time of a network on large images. What ``MALLOC_*`` or ``GLIBC_TUNABLES`` in the
    environment say stays; without glibc nothing happens.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        mallopt(parameter, _KEPT)
