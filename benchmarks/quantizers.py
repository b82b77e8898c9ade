"""Time and memory of the quantizers against the naive formula and vector-quantize-pytorch.

Run: python benchmarks/quantizers.py [--repeats 7] [--threads 2] > benchmarks/results/quantizers_<date>.md

Time is the median over the repeats, all cases taking turns in one process after one warm-up call each. Memory is the
growth of the resident set: a process of its own builds the case, warms up on 8 tokens, resets its high-water mark
(/proc/self/clear_refs), makes one full call, and reports the mark minus the resident set just before the call.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from vistok.quantizers import IndexBackpropagationQuantizer, ProjectedVectorQuantizer, VectorQuantizer

TOKENS, DIM = 4096, 8
Call = Callable[[Tensor], object]


def naive_search(size: int) -> Call:
    codebook = torch.randn(size, DIM)
    return lambda z: torch.cdist(z[0], codebook).argmin(1)


def theirs(train: bool, **kwargs: object) -> Call:
    from vector_quantize_pytorch import VectorQuantize

    module = VectorQuantize(dim=DIM, codebook_size=16384, **kwargs).train(train)
    return module if train else torch.no_grad()(module)


def ours(metric: str, size: int, compiled: bool = False) -> Call:
    module = VectorQuantizer(size, DIM, metric=metric, channel_dim=-1).eval()
    call = torch.compile(module, fullgraph=True) if compiled else module
    return torch.no_grad()(call)


def our_step(metric: str) -> Call:
    module = VectorQuantizer(16384, DIM, metric=metric, learning="ema", channel_dim=-1)

    def step(z: Tensor) -> None:
        module(z)
        module.update()

    return step


def their_projection() -> Call:
    from vector_quantize_pytorch import SimVQ

    return torch.no_grad()(SimVQ(dim=DIM, codebook_size=16384).eval())


def backpropagate(quantize: Callable[[Tensor], Tensor]) -> Call:
    def step(z: Tensor) -> None:
        z = z.clone().requires_grad_()
        quantize(z).square().sum().backward()

    return step


def naive_index_backpropagation() -> Call:
    codebook = torch.nn.Parameter(torch.randn(16384, DIM))

    def quantize(z: Tensor) -> Tensor:
        logits = z[0] @ codebook.t()
        p = logits.softmax(1)
        hard = torch.nn.functional.one_hot(logits.argmax(1), 16384).to(p.dtype)
        return (hard + p - p.detach()) @ codebook

    return backpropagate(quantize)


def our_index_backpropagation() -> Call:
    module = IndexBackpropagationQuantizer(16384, DIM, channel_dim=-1)
    return backpropagate(lambda z: module(z).quantized)


CASES: dict[str, tuple[str, Callable[[], Call]]] = {
    "naive cdist + argmin": ("nearest code, 4096 x 16384", lambda: naive_search(16384)),
    "v-q-p VectorQuantize euclidean, eval": ("nearest code, 4096 x 16384", lambda: theirs(False)),
    "v-q-p VectorQuantize cosine, eval": ("nearest code, 4096 x 16384", lambda: theirs(False, use_cosine_sim=True)),
    "vistok euclidean": ("nearest code, 4096 x 16384", lambda: ours("euclidean", 16384)),
    "vistok cosine": ("nearest code, 4096 x 16384", lambda: ours("cosine", 16384)),
    "vistok euclidean, compiled": ("nearest code, 4096 x 16384", lambda: ours("euclidean", 16384, True)),
    "vistok cosine, compiled": ("nearest code, 4096 x 16384", lambda: ours("cosine", 16384, True)),
    "vistok euclidean 262144": ("nearest code, 4096 x 262144", lambda: ours("euclidean", 262144)),
    "vistok cosine 262144": ("nearest code, 4096 x 262144", lambda: ours("cosine", 262144)),
    "v-q-p euclidean, train": ("step of the moving-average codebook, K = 16384", lambda: theirs(True)),
    "v-q-p cosine, train": (
        "step of the moving-average codebook, K = 16384",
        lambda: theirs(True, use_cosine_sim=True),
    ),
    "vistok euclidean, forward + update": (
        "step of the moving-average codebook, K = 16384",
        lambda: our_step("euclidean"),
    ),
    "vistok cosine, forward + update": ("step of the moving-average codebook, K = 16384", lambda: our_step("cosine")),
    "v-q-p SimVQ": ("projected codebook, 4096 x 16384", their_projection),
    "vistok projected": (
        "projected codebook, 4096 x 16384",
        lambda: torch.no_grad()(ProjectedVectorQuantizer(16384, DIM, channel_dim=-1).eval()),
    ),
    "naive index backpropagation": ("index backpropagation, forward + backward", naive_index_backpropagation),
    "vistok index backpropagation": ("index backpropagation, forward + backward", our_index_backpropagation),
}
RATIOS = [
    ("vistok euclidean", "naive cdist + argmin", None),
    ("vistok euclidean", "v-q-p VectorQuantize euclidean, eval", 10),
    ("vistok cosine", "v-q-p VectorQuantize cosine, eval", 4),
    ("vistok euclidean, compiled", "v-q-p VectorQuantize euclidean, eval", 25),
    ("vistok cosine, compiled", "v-q-p VectorQuantize cosine, eval", 10),
    ("vistok euclidean, forward + update", "v-q-p euclidean, train", 20),
    ("vistok cosine, forward + update", "v-q-p cosine, train", 20),
    ("vistok projected", "v-q-p SimVQ", None),
    ("vistok index backpropagation", "naive index backpropagation", None),
]


def times(repeats: int) -> dict[str, float]:
    """Median milliseconds of every case; the cases take turns."""
    torch.manual_seed(0)
    z = torch.randn(1, TOKENS, DIM)
    calls = {name: make() for name, (_, make) in CASES.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call(z)
            if repeat:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def resident(field: str) -> float:
    """MB of a field of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def measure_memory(name: str) -> None:
    """In a process of its own: print the MB that one full call adds."""
    torch.manual_seed(0)
    call = CASES[name][1]()
    z = torch.randn(1, TOKENS, DIM)
    call(z if "compiled" in name else z[:, :8])
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    call(z)
    print(resident("VmHWM") - before)


def memory(name: str, threads: int) -> float:
    """MB that one full call of a case adds."""
    command = [sys.executable, __file__, "--memory-of", name, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(repeats: int, threads: int) -> None:
    """Print the tables."""
    milliseconds = times(repeats)
    megabytes = {name: memory(name, threads) for name in CASES}
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"# Quantizers, {date.today()}\n")
    print(f"Command: `python benchmarks/quantizers.py --repeats {repeats} --threads {threads}`  ")
    print(f"Machine: {platform.machine()} CPU, {os.cpu_count()} cores, {threads} threads, load average {load}; ")
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}; float32, {TOKENS} tokens of {DIM} channels.\n"
    )
    print(f"{__doc__.split(chr(10) * 2, 2)[2].strip()}\n")
    print("`v-q-p` is vector-quantize-pytorch.\n")
    print("| work | case | median ms | extra MB |\n|---|---|---|---|")
    for name, (work, _) in CASES.items():
        print(f"| {work} | {name} | {milliseconds[name]:.1f} | {megabytes[name]:.0f} |")
    print("\n| this | against | times faster | wanted |\n|---|---|---|---|")
    for mine, other, wanted in RATIOS:
        print(f"| {mine} | {other} | {milliseconds[other] / milliseconds[mine]:.1f} | {wanted or ''} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", choices=list(CASES))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        measure_memory(args.memory_of)
    else:
        report(args.repeats, args.threads)


if __name__ == "__main__":
    main()
