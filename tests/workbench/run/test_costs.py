"""What a stage costs: clock, processors and memory, of a block that is known to take some."""

import mmap
import time

import pytest

from _support.mutants import catches
from vistok.workbench.run.costs import measured, with_earlier

SUBJECT = "vistok.workbench.run.costs"
MEBIBYTE = 2**20


@catches(SUBJECT, "CPU: _cpu_seconds() - cpu", "CPU: time.monotonic() - wall")
def test_sleep_takes_time_on_the_clock_and_none_of_a_processor():
    with measured() as cost:
        time.sleep(0.1)
    assert cost["wall_seconds"] >= 0.1
    assert cost["cpu_seconds"] < 0.09


@catches(SUBJECT, "_cpu_seconds() - cpu", "_cpu_seconds()")
def test_work_takes_time_of_a_processor():
    begin = time.process_time()
    with measured() as cost:
        while time.process_time() - begin < 0.1:
            pass
    assert 0.05 < cost["cpu_seconds"] < 0.5


@catches(SUBJECT, '_RESET.write_text("5")', "pass")
@catches(SUBJECT, "return 1024 * int(", "return int(")
def test_memory_is_the_peak_of_the_block_and_not_of_what_was_before():
    with measured() as large, mmap.mmap(-1, 200 * MEBIBYTE) as memory:  # given back at once, unlike what malloc gave
        for _ in range(200):
            memory.write(b"1" * MEBIBYTE)
    with measured() as small:
        pass
    assert 150 * MEBIBYTE < large["peak_memory_bytes"] - small["peak_memory_bytes"] < 300 * MEBIBYTE


@catches(SUBJECT, "    finally:", "    except KeyboardInterrupt:")
def test_a_block_that_fails_has_cost_something_too():
    with pytest.raises(ValueError, match="broken"), measured() as cost:
        raise ValueError("broken")
    assert set(cost) == {"wall_seconds", "cpu_seconds", "peak_memory_bytes"}


@catches(SUBJECT, "max(value, earlier.get(key, 0))", "value + earlier.get(key, 0)")
def test_times_of_two_parts_add_up_and_the_larger_peak_stays():
    now = {"wall_seconds": 2.0, "cpu_seconds": 1.0, "peak_memory_bytes": 7}
    assert with_earlier(now, {}) == now
    earlier = {"wall_seconds": 0.5, "cpu_seconds": 0.25, "peak_memory_bytes": 9}
    assert with_earlier(now, earlier) == {"wall_seconds": 2.5, "cpu_seconds": 1.25, "peak_memory_bytes": 9}
