"""What the machine can do at most: the floor that the other benchmarks' figures are held to.

    python benchmarks/machine.py [--threads 1 2]

Matrix products and 3x3 convolutions in float32 and bfloat16, bandwidth of copying and of reading memory that no cache
holds, and what one operation on one number costs. Each is the best of several runs. A copy reads and writes: both
count.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import torch

SIDE = 2048  # of the matrices
MEGABYTES = 512  # of the memory that is copied and read
COLUMNS = (
    *("threads", "float32 GEMM, GFLOP/s", "bfloat16 GEMM", "float32 convolution", "bfloat16 convolution"),
    *("copy, GB/s", "read, GB/s", "small operation, µs"),
)


def step_clock() -> Callable[[], float]:
    """Seconds of this process on one thread, so that waiting on a busy machine does not count; of the clock on more."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def best_seconds(call: Callable[[], object], *, runs: int = 3, least: float = 0.2) -> float:
    """The least seconds of a call, of at least ``runs`` calls that take ``least`` seconds together; one warms up."""
    clock = step_clock()
    call()
    taken: list[float] = []
    while len(taken) < runs or sum(taken) < least:
        start = clock()
        call()
        taken.append(clock() - start)
    return min(taken)


def medians(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each call by name, all in turn, so that a busy machine slows them alike; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def row(*cells: object) -> None:
    """Print a row of a table; numbers with a point have three digits."""
    print(f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)


def header(*cells: object) -> None:
    """Print the titles of a table's columns."""
    row(*cells)
    row(*("---" for _ in cells))


def gemm_gflops(dtype: torch.dtype, side: int = SIDE) -> float:
    """Rate of a square matrix product."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    out = torch.empty(side, side, dtype=dtype)
    return 2e-9 * side**3 / best_seconds(lambda: torch.mm(a, b, out=out))


def convolution_gflops(dtype: torch.dtype, channels: int = 128) -> float:
    """Rate of a 3x3 convolution, channels last; other code than a matrix product's, and on some processors faster."""
    images, weight = torch.randn(8, channels, 32, 32), torch.randn(channels, channels, 3, 3)
    images, weight = (t.to(dtype).contiguous(memory_format=torch.channels_last) for t in (images, weight))
    flops = 2 * images.numel() * channels * 9
    return 1e-9 * flops / best_seconds(lambda: torch.conv2d(images, weight, padding=1))


def most_gflops(dtype: torch.dtype) -> float:
    """The better of the two: no step of products and convolutions is faster."""
    return max(gemm_gflops(dtype), convolution_gflops(dtype))


def copy_bandwidth() -> float:
    """GB/s read and written."""
    source = torch.ones(MEGABYTES * 250_000)
    target = torch.empty_like(source)
    return 2 * MEGABYTES / 1e3 / best_seconds(lambda: target.copy_(source))


def read_bandwidth() -> float:
    """GB/s of summing float32."""
    source = torch.ones(MEGABYTES * 250_000)
    return MEGABYTES / 1e3 / best_seconds(lambda: source.sum())


def small_operation(calls: int = 2000) -> float:
    """Microseconds of one operation on one number, as autograd records it."""
    x = torch.zeros(1, requires_grad=True)

    def run() -> None:
        for _ in range(calls):
            x.add(1)

    return 1e6 * best_seconds(run) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    header(*COLUMNS)
    for threads in options.threads:
        torch.set_num_threads(threads)
        rates = [rate(dtype) for rate in (gemm_gflops, convolution_gflops) for dtype in (torch.float32, torch.bfloat16)]
        rates += [copy_bandwidth(), read_bandwidth()]
        row(threads, *(f"{rate:.0f}" for rate in rates), f"{small_operation():.2f}")


if __name__ == "__main__":
    main()
