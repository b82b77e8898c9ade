"""Time and memory of training steps by image size and batch, beside other projects' steps of the same sizes.

    python benchmarks/step_time.py [--llamagen PATH] [--flowmo PATH] [--shapes 32x32 128x8] [--threads 1] [--rounds 2]

Each figure comes from a process of its own, and the processes of one shape and precision take turns for `--rounds`
rounds. Time is the best step: of the process on one thread, which on a busy machine does not count the waiting, and of
the clock on more. The floor is what the step's products take at the rate of a large matrix product or convolution of
that precision, whichever is faster, measured in the same process. Memory is the process's peak, and what of it came
after the network was built.

"Same work" is held to: parameters that learn, and FLOPs of products and convolutions, within 2 % of ours. Checkouts of
other projects are not part of this repository; without one its rows are left out, and a line says so.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from machine import header, most_gflops, step_clock
from steps import ours, peers
from steps.sizes import Shape, TrainingStep

SHAPES = ("32x32", "64x16", "128x8", "256x2")
GENERATORS = ("xar", "far", "masked")
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16}
TOLERANCE = 0.02
COLUMNS = (
    *("step", "images", "precision", "ms", "floor, ms", "over it", "times ours"),
    *("M parameters", "GFLOP", "peak MB", "grown MB"),
)


class Row(NamedTuple):
    """A step that is timed: its title, whose checkout it needs, and the row that does the same work."""

    title: str
    needs: str = ""
    against: str = ""


ROWS = {
    "vqgan": Row("one codebook, VQGAN"),
    "llamagen": Row("one codebook, LlamaGen", "llamagen", "vqgan"),
    "llamagen_lean": Row("one codebook, LlamaGen without its unused entropy", "llamagen", "vqgan"),
    "glotok": Row("GloTok"),
    "glotok_adversarial": Row("GloTok with discriminator"),
    "semtok": Row("SemTok, stage I"),
    "flowmo": Row("FlowMo, first stage", "flowmo", "semtok"),
    **{name: Row(f"generator {name} of GloTok's demo") for name in GENERATORS},
}


def build(name: str, shape: Shape, precision: str, options: argparse.Namespace) -> TrainingStep:
    """The step of a row."""
    makers: dict[str, Callable[[Shape, str], TrainingStep]] = {
        "vqgan": ours.vqgan,
        "llamagen": partial(peers.llamagen, checkout=options.llamagen, entropy=True),
        "llamagen_lean": partial(peers.llamagen, checkout=options.llamagen, entropy=False),
        "glotok": partial(ours.glotok, adversarial=False),
        "glotok_adversarial": partial(ours.glotok, adversarial=True),
        "semtok": ours.semtok,
        "flowmo": partial(peers.flowmo, checkout=options.flowmo),
    }
    if name in GENERATORS:
        return ours.generator(name, shape.batch, precision)
    return makers[name](shape, precision)


def resident() -> float:
    """MB of this process now."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure(name: str, shape: Shape, precision: str, options: argparse.Namespace) -> dict[str, float]:
    """The figures of one row, in this process."""
    torch.set_num_threads(options.threads)
    clock = step_clock()
    torch.manual_seed(0)
    step = build(name, shape, precision, options)
    built = resident()
    taken: list[float] = []
    for index in range(1 + options.repeats):
        start = clock()
        step.run(index)
        taken.append(clock() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parameters = step.parameters()
    # The fused attention of CPUs is not in the counter's table; its plain form is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step.run(len(taken))
    flops = counter.get_total_flops()
    floor = flops / (1e9 * most_gflops(DTYPES[precision]))
    figures = {"ms": 1e3 * min(taken[1:]), "floor": 1e3 * floor, "peak": peak, "grown": peak - built}
    return figures | {"parameters": parameters, "gflop": flops / 1e9}


def in_a_process(name: str, shape: str, precision: str, options: argparse.Namespace) -> dict[str, float]:
    """The figures of one row, from a process of its own."""
    command = [sys.executable, __file__, "--cell", name, shape, precision]
    command += [f"--threads={options.threads}", f"--repeats={options.repeats}"]
    command += [f"--{peer}={path}" for peer in peers.ADDRESSES if (path := getattr(options, peer))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turn(names: list[str], shape: str, precision: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The figures of several rows, the best of the rounds."""
    found: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):
        for name in names:
            figures = in_a_process(name, shape, precision, options)
            best = found.setdefault(name, figures)
            best["ms"], best["floor"] = min(best["ms"], figures["ms"]), min(best["floor"], figures["floor"])
    return found


def lines(shape: str, precision: str, found: dict[str, dict[str, float]]) -> Iterator[str]:
    """The table's lines."""
    for name, own in found.items():
        row, ratio = ROWS[name], ""
        if row.against in found:
            ratio = f"{own['ms'] / found[row.against]['ms']:.2f}{unequal(own, found[row.against])}"
        kind = {"no": "float32", "bf16": "bfloat16"}[precision]
        images = f"batch {shape}" if name in GENERATORS else shape.replace("x", " px, batch ")
        yield (
            f"| {row.title} | {images} | {kind} | {own['ms']:.0f} | {own['floor']:.0f} "
            f"| {own['ms'] / own['floor']:.1f} | {ratio} | {own['parameters'] / 1e6:.2f} | {own['gflop']:.1f} "
            f"| {own['peak']:.0f} | {own['grown']:.0f} |"
        )


def unequal(theirs: dict[str, float], ours: dict[str, float]) -> str:
    """What of two rows' work differs by more than the tolerance, as a remark."""
    off = [key for key in ("parameters", "gflop") if abs(theirs[key] / ours[key] - 1) > TOLERANCE]
    return f" (not the same work: {', '.join(off)})" if off else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), metavar="PIXELSxBATCH")
    parser.add_argument("--precisions", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--generator-batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    for peer, (address, _) in peers.ADDRESSES.items():
        parser.add_argument(f"--{peer}", type=Path, help=f"a checkout of {address}")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        name, shape, precision = options.cell
        print(json.dumps(measure(name, Shape(*map(int, shape.split("x"))), precision, options)))
        return
    absent = {peer: why for peer in peers.ADDRESSES if (why := peers.missing(peer, getattr(options, peer)))}
    for why in absent.values():
        print(f"Left out, {why}.  ")
    tokenizers = [name for name in options.rows if name not in GENERATORS and ROWS[name].needs not in absent]
    generators = [name for name in options.rows if name in GENERATORS]
    counts = f"best of {options.rounds} x {options.repeats} steps"
    print(f"\n{options.threads} thread(s), torch {torch.__version__}; {counts}\n")
    header(*COLUMNS)
    for shape in options.shapes:
        for precision in options.precisions:
            print("\n".join(lines(shape, precision, in_turn(tokenizers, shape, precision, options))), flush=True)
    for precision in options.precisions:
        shape = f"8x{options.generator_batch}"
        print("\n".join(lines(shape, precision, in_turn(generators, shape, precision, options))), flush=True)


if __name__ == "__main__":
    main()
