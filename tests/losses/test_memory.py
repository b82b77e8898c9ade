"""Extra memory of the losses that could be quadratic, in a process of its own: see the benchmark for how."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the high-water mark of Linux")
@pytest.mark.parametrize(
    ("row", "most_mb"), [("counted_4096", 100), ("counted_16384", 200), ("exact_14", 32), ("exact_18", 64)]
)
def test_extra_memory_is_bounded(row, most_mb):
    command = [sys.executable, str(ROOT / "benchmarks" / "losses.py"), "--threads", "1", "--row", row]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["mb"] <= most_mb
