"""Damage to files: bits flipped, ends cut off, bytes put in, taken out, zeroed, repeated; and what a kill leaves."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

Mutation = tuple[str, int, int, bytes]

_PLACES = st.one_of(
    st.integers(0, 400),  # headers
    st.integers(-120, -1),  # trailers
    st.integers(0, 10**9),  # anywhere
)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "cut", "insert", "remove", "zero", "repeat"]),
        _PLACES,
        st.integers(0, 64),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=2,
)


def mutated(data: bytes, mutations: list[Mutation]) -> bytes:
    """The bytes after all mutations."""
    result = bytearray(data)
    for kind, place, count, new in mutations:
        if not result:
            break
        at = place % len(result)
        if kind == "flip":
            result[at] ^= 1 << count % 8
        elif kind == "cut":
            del result[at:]
        elif kind == "insert":
            result[at:at] = new
        elif kind == "remove":
            del result[at : at + count]
        elif kind == "zero":
            result[at : at + count] = bytes(len(result[at : at + count]))
        else:
            result[at:at] = result[at : at + count]
    return bytes(result)


def in_a_child(work: Callable[[], None], *, killed_after: float | None = None) -> int:
    """Run something in a forked process, killed after so many seconds; its exit code, 1 for an exception."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but those that a killed write left aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".partial"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
