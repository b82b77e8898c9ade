"""Time, memory and accuracy of the losses with bounded memory, against the naive formulas and other code.

    python benchmarks/losses.py [--threads N] [--quick]

Every row runs in a process of its own, forward and backward, in float32. Time is the median of the runs after one
warm-up (a row of one run has none). Extra memory is the rise of the resident set's high-water mark over the resident
set before the first measured call (/proc/self/status after a reset through /proc/self/clear_refs; Linux only).
"""

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from vistok.losses import HistogramRelationLoss, LookupFreeEntropyLoss
from vistok.workbench.run.folder import environment_record

BINS, ALPHA, WIDTH, TOKENS = 40, 190.0, 8, 4096
# The slowest baseline runs on one in eight of its row blocks; its time is scaled by the pairs they hold.
STRIDE = 8
Step = Callable[[], Tensor]


def codes(n: int) -> Tensor:
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()


def teacher() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return HistogramRelationLoss(torch.randn(512, 64, generator=generator) + 0.5).teacher_histogram


def divergence(histogram: Tensor) -> Tensor:
    target = teacher()
    return (target * (target.log() - (histogram / histogram.sum()).log())).sum()


def relation_counted(n: int) -> Step:
    loss = HistogramRelationLoss(teacher())
    x = codes(n)
    return lambda: loss(x)


def relation_evaluated(n: int) -> Step:
    loss = HistogramRelationLoss(teacher(), exact=True)
    x = codes(n)
    return lambda: loss(x)


def relation_as_printed(n: int) -> Step:
    """Algorithm 1: outer products of pairs and bins, squared, exponentiated, summed."""
    x = codes(n)
    centres = torch.linspace(-1, 1, BINS).unsqueeze(0)

    def step() -> Tensor:
        unit = F.normalize(x, dim=1)
        i, j = torch.triu_indices(n, n, 1)
        column = (unit @ unit.T)[i, j].unsqueeze(1)
        distance = (torch.mm(column, torch.ones(1, BINS)) - torch.mm(torch.ones_like(column), centres)) ** 2
        return divergence(torch.sum(torch.exp(-ALPHA * distance), dim=0))

    return step


def block_starts(n: int) -> list[int]:
    """Every STRIDE-th block of 64 rows, centred, so that short and long rows are seen alike."""
    return list(range(64 * (STRIDE // 2), n, 64 * STRIDE))


def share_of_pairs(n: int) -> float:
    """Return the part of all ordered positions j >= i that the measured row blocks hold."""
    return sum(64 * (n - start) for start in block_starts(n)) / sum(64 * (n - start) for start in range(0, n, 64))


def relation_row_blocked(n: int) -> Step:
    """The exact sum over 40 bins in blocks of 64 rows, computed again in backward; every STRIDE-th block."""
    x = codes(n)
    centres = torch.linspace(-1, 1, BINS)

    def block(unit: Tensor, start: int) -> Tensor:
        similarity = unit[start : start + 64] @ unit[start:].T
        rows, columns = similarity.shape
        kernel = torch.exp(-ALPHA * (similarity.unsqueeze(2) - centres) ** 2)
        later = torch.ones(rows, columns, dtype=torch.bool).triu(1)
        return (kernel * later.unsqueeze(2)).sum(dim=(0, 1))

    def step() -> Tensor:
        unit = F.normalize(x, dim=1)
        parts = [checkpoint(block, unit, start, use_reentrant=False) for start in block_starts(n)]
        return divergence(torch.stack(parts).sum(dim=0))

    return step


def bits(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (0.02 * torch.randn(1, TOKENS, count, generator=generator)).requires_grad_()


def entropy_exact(count: int) -> Step:
    loss = LookupFreeEntropyLoss(temperature=0.01, channel_dim=-1)
    u = bits(count)
    return lambda: loss(u)


def entropy_library(count: int) -> Step:
    from vector_quantize_pytorch import LFQ

    quantizer = LFQ(codebook_size=2**count, dim=count, entropy_loss_weight=1.0)
    u = bits(count)
    return lambda: quantizer(u, inv_temperature=100.0).entropy_aux_loss


# name: (title, builder, size, runs, the row it is compared with)
ROWS: dict[str, tuple[str, Callable[[int], Step], int, int, str]] = {
    "printed_4096": ("histogram relation, n = 4096, Algorithm 1 as printed", relation_as_printed, 4096, 1, ""),
    "counted_4096": ("histogram relation, n = 4096", relation_counted, 4096, 15, "printed_4096"),
    "blocked_16384": (
        "histogram relation, n = 16384, row-blocked exact sum, 1 in 8 blocks, time scaled",
        relation_row_blocked,
        16384,
        1,
        "",
    ),
    "counted_16384": ("histogram relation, n = 16384", relation_counted, 16384, 7, "blocked_16384"),
    "library_14": ("entropy terms, 14 bits, 4096 tokens, vector-quantize-pytorch LFQ", entropy_library, 14, 2, ""),
    "exact_14": ("entropy terms, 14 bits, 4096 tokens", entropy_exact, 14, 25, "library_14"),
    "evaluated_4096": ("histogram relation, n = 4096, exact=True", relation_evaluated, 4096, 1, "printed_4096"),
    "exact_18": ("entropy terms, 18 bits, 4096 tokens", entropy_exact, 18, 15, ""),
}
SLOW = ("blocked_16384", "evaluated_4096")


def resident(field: str) -> float:
    """Return a field of this process's status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no {field} in /proc/self/status")


def measure(name: str, threads: int) -> None:
    """Run one row in this process and print its numbers as JSON."""
    torch.set_num_threads(threads)
    _, build, size, runs, _ = ROWS[name]
    # The libraries' own first-use cost (thread pools, code pages) belongs to no row: a tiny step of the same kind.
    build(64 * STRIDE if size > 100 else 8)().backward()
    step = build(size)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    times = []
    for _ in range(runs + (runs > 1)):
        start = time.perf_counter()
        step().backward()
        times.append(time.perf_counter() - start)
    times = times[1:] if runs > 1 else times
    if build is relation_row_blocked:
        times = [seconds / share_of_pairs(size) for seconds in times]
    print(
        json.dumps({"ms": 1e3 * statistics.median(times), "best": 1e3 * min(times), "mb": resident("VmHWM") - before})
    )


def accuracy(n: int) -> list[str]:
    """Compare float32 counting with float64 evaluation of each pair at each bin."""
    torch.set_num_threads(1)
    lines = ["| alpha | loss | relative error of the loss | relative L2 error of the gradient |", "|---|---|---|---|"]
    for alpha in (10.0, 50.0, 190.0, 800.0):
        results = []
        for dtype, exact in ((torch.float64, True), (torch.float32, False)):
            x = codes(n).detach().to(dtype).requires_grad_()
            tokens = torch.randn(512, 64, generator=torch.Generator().manual_seed(1)).double() + 0.5
            target = HistogramRelationLoss(tokens, alpha=alpha, exact=True).teacher_histogram
            loss = HistogramRelationLoss(target, alpha=alpha, exact=exact)(x)
            (gradient,) = torch.autograd.grad(loss, x)
            results.append((loss.double(), gradient.double()))
        (loss, gradient), (mine, my_gradient) = results
        error = abs(mine / loss - 1).item()
        gradient_error = ((my_gradient - gradient).norm() / gradient.norm()).item()
        lines.append(f"| {alpha:.0f} | {loss.item():.6f} | {error:.1e} | {gradient_error:.1e} |")
    return lines


class Kernels(TorchDispatchMode):
    """Counts the operations that an accelerator runs a kernel for: all but views."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def kernels(n: int) -> int:
    """Kernels of a step forward and backward, in the blocks that an accelerator gets; nothing is computed."""
    loss = HistogramRelationLoss(teacher()).to("meta")
    x = torch.empty(n, WIDTH, device="meta", requires_grad=True)
    with Kernels() as counted:
        loss(x).backward()
    return counted.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="leave out the rows that take minutes")
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        measure(options.row, options.threads)
        return
    print(f"# Losses, {datetime.date.today().isoformat()}\n")
    print(f"Command: `python benchmarks/losses.py --threads {options.threads}{' --quick' * options.quick}`  ")
    processor = environment_record()["processor"]
    print(f"Machine: {platform.system()} {platform.machine()}, {processor}, {options.threads} thread(s), no GPU  ")
    print(f"Versions: Python {platform.python_version()}, torch {torch.__version__}\n")
    print("Forward and backward, float32, d = 8, 40 bins, alpha = 190. Median of runs; extra memory is the rise of")
    print("the resident high-water mark over the resident set before the first measured call.\n")
    print("| work | runs | median ms | best ms | extra MB | times faster (median) | times faster (best) |")
    print("|---|---|---|---|---|---|---|")
    results: dict[str, dict[str, float]] = {}
    for name, (title, _, _, runs, reference) in ROWS.items():
        if options.quick and name in SLOW:
            continue
        command = [sys.executable, __file__, "--threads", str(options.threads), "--row", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = results[name] = json.loads(done.stdout)
        ratio = ["", ""]
        if reference in results:
            base = results[reference]
            ratio = [f"{base['ms'] / result['ms']:.0f}x", f"{base['best'] / result['best']:.0f}x"]
        print(
            f"| {title} | {runs} | {result['ms']:.1f} | {result['best']:.1f} | {result['mb']:.0f} "
            f"| {ratio[0]} | {ratio[1]} |",
            flush=True,
        )
    print("\nHistogram relation by counting in float32 against every pair at every bin in float64, n = 1024:\n")
    print("\n".join(accuracy(1024)))
    counts = ", ".join(f"{kernels(n)} at n = {n}" for n in (256, 4096, 16384))
    print(f"\nKernels a step on an accelerator, forward and backward: {counts}.")


if __name__ == "__main__":
    main()
