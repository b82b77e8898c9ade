"""Freed memory is kept for the next large tensor, where the C library can and nobody said otherwise."""

import ctypes
import subprocess
import sys

import pytest

from _support.mutants import catches
from vistok.workbench.run import allocator
from vistok.workbench.run.allocator import keep_freed_memory

SUBJECT = "vistok.workbench.run.allocator"
FAULTS = """
import resource, torch
from vistok.workbench.run.allocator import keep_freed_memory

def faults():
    for _ in range(3):
        torch.ones(100 << 20, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(100 << 20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
keep_freed_memory()
print(fresh, faults())
"""


class Recorded:
    def __init__(self):
        self.calls = []

    def mallopt(self, parameter, value):
        self.calls.append((parameter, value))


def calls(monkeypatch, library, environment=()):
    with monkeypatch.context() as patch:
        for name in [name for name in allocator.os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
            patch.delenv(name)
        for name in environment:
            patch.setenv(name, "1")
        patch.setattr(ctypes, "CDLL", lambda name: library)
        keep_freed_memory()
    return getattr(library, "calls", None)


@catches(SUBJECT, "_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1", "_MMAP_THRESHOLD, _TRIM_THRESHOLD = -1, -3")
@catches(SUBJECT, "_KEPT = 1 << 30", "_KEPT = 1 << 31")
def test_both_thresholds_are_a_gibibyte(monkeypatch):
    assert calls(monkeypatch, Recorded()) == [(-3, 2**30), (-1, 2**30)]


@catches(SUBJECT, 'name.startswith("MALLOC_") or ', "")
@catches(SUBJECT, 'or name == "GLIBC_TUNABLES"', "")
def test_what_the_environment_says_stays(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        assert calls(monkeypatch, Recorded(), [name]) == []


@catches(SUBJECT, "except (AttributeError, OSError, TypeError)", "except OSError")
def test_another_c_library_is_left_alone(monkeypatch):
    assert calls(monkeypatch, object()) is None


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc")
def test_large_tensors_then_come_without_new_pages():
    fresh, kept = map(
        int, subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True).stdout.split()
    )
    assert kept < 0.7 * fresh
