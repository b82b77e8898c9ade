"""The cost model beside reality: FLOPs that are counted on real tensors, and memory that a process really takes.

    python benchmarks/cost_model.py [--cells 0 1 2]

Each row is a step of a small configuration in a process of its own on the CPU. What the model says comes from the meta
device, as if that were a card. "By a card's paths" is the same step with values on the CPU, which takes the paths
that it would take on a card; "by the CPU's" is what a training here does, with kernels of its own that keep less.
Measured memory is the most pages that the process held in the step, less those that it held before the networks were
made; allocations of 64 KiB and more get pages of their own, which go back when they are freed. FLOPs are torch's count
of the step with values, by the CPU's paths.
"""

import argparse
import gc
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vistok.workbench.cost.counting import counted_flops
from vistok.workbench.cost.pretended_cuda import META
from vistok.workbench.cost.trainings import DryRun, Training

CPU = torch.device("cpu")
COLUMNS = (
    *("training", "images", "precision", "GFLOP, model", "GFLOP, counted", "MB, model", "MB, by a card's paths"),
    *("of the model", "MB, by the CPU's paths"),
)
#: Networks so wide that their memory stands out from what a process takes anyway.
_CONV = ("tokenizer.base_channels=64", "tokenizer.multipliers=[1,2,2]", "tokenizer.num_blocks=1")
_WIDE = ("width=256", "depth=6", "num_heads=8", "dropout=0.1")
_STREAMS = tuple(f"tokenizer.{side}_width=256" for side in ("encoder", "decoder"))


class Cell(NamedTuple):
    """A step: of which training (its place in the list) of which recipe, changes to ``openmoji32``, images."""

    recipe: str
    training: str
    size: int
    changes: tuple[str, ...] = ()
    pixels: int = 32
    precision: str = "no"


CELLS = (
    Cell("glotok", "tokenizer", 32, (*_CONV, "tokenizer.residual=true")),
    Cell("glotok", "tokenizer", 6, (*_CONV, "tokenizer.residual=true"), 64),
    Cell("vqgan", "tokenizer", 32, _CONV),
    Cell("vqgan", "tokenizer", 8, _CONV, 64),
    Cell("vqgan", "tokenizer", 16, _CONV, 32, "bf16"),
    Cell("semtok", "tokenizer", 32, _STREAMS),
    Cell("semtok", "refiner", 32, _STREAMS),
    Cell("glotok", "generator xar", 32, _WIDE),
    Cell("glotok", "generator far", 32, _WIDE),
    Cell("glotok", "generator masked", 32, _WIDE),
)


def build(cell: Cell, dry_run: DryRun) -> tuple[Training, int]:
    """The training of a cell, and the step from which on it does everything."""
    config_of = importlib.import_module(f"{cell.recipe}.config")
    cost = importlib.import_module(f"{cell.recipe}.cost")
    section, name = "train", cell.training.removeprefix("generator ")
    if cell.training == "refiner":
        section = "train_refiner"
    changes = list(cell.changes)
    if cell.training.startswith("generator"):
        section = f"generators.{name}.train"
        changes = [f"generators.{name}.{change}" for change in changes]
    changes += [f"{section}.mixed_precision={cell.precision}", f"{section}.ema_decay=0.9"]
    changes += [f"data.image_size={cell.pixels}", f"tokenizer.image_size={cell.pixels}"]
    config = config_of.load("openmoji32", changes)
    if cell.training.startswith("generator"):
        training = cost.generator_training(config, dry_run, name)
    else:
        training = getattr(cost, f"{cell.training}_training")(config, dry_run)
    return training, training.starts[-1]


def pages(entry: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` the most since it was last reset."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"^{entry}:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]


def measured(cell: Cell, *, pretend: bool) -> dict[str, float]:
    """What a step really takes, in this process."""
    torch.manual_seed(0)
    small, start = build(cell, DryRun(CPU, pretend=pretend))
    with small.on.pretending():
        small.step(2, start)  # so that libraries are loaded, and what they keep is kept
    del small
    gc.collect()
    before = pages("VmRSS")
    training, start = build(cell, DryRun(CPU, pretend=pretend))
    found: dict[str, float] = {}
    with training.on.pretending():
        with counted_flops() as flops:
            training.step(cell.size, start)
        Path("/proc/self/clear_refs").write_text("5")
        training.step(cell.size, start)
        found["peak"] = pages("VmHWM") - before
    return found | {"flops": sum(flops.values())}


def predicted(cell: Cell) -> dict[str, float]:
    """What the model says."""
    training, start = build(cell, DryRun(META))
    counts = training.count(cell.size, start)
    return {"peak": counts.peak, "flops": counts.flops, "saved": counts.saved}


def in_a_process(number: int, what: str) -> dict[str, Any]:
    """The figures of a cell from a process of its own, whose large allocations have pages of their own."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-W", "ignore", __file__, "--cell", str(number), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(number: int) -> dict[str, float]:
    """Model and reality of one cell, bytes and FLOPs."""
    model, card, cpu = (in_a_process(number, what) for what in ("model", "card", "cpu"))
    return {
        "model": model["peak"],
        "card": card["peak"],
        "cpu": cpu["peak"],
        "model_flops": model["flops"],
        "flops": cpu["flops"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=list(range(len(CELLS))), help="by default all")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        cell, what = CELLS[int(options.cell[0])], options.cell[1]
        torch.set_num_threads(1)
        print(json.dumps(predicted(cell) if what == "model" else measured(cell, pretend=what == "card")))
        return
    print(f"torch {torch.__version__}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for number in options.cells:
        cell, found = CELLS[number], compared(number)
        megabytes = [found[key] / 1e6 for key in ("model", "card", "cpu")]
        kind = {"no": "float32", "bf16": "bfloat16"}[cell.precision]
        flops = f"{found['model_flops'] / 1e9:.2f} | {found['flops'] / 1e9:.2f}"
        print(
            f"| {cell.recipe}, {cell.training} | {cell.size} of {cell.pixels} px | {kind} | {flops} "
            f"| {megabytes[0]:.0f} | {megabytes[1]:.0f} | {megabytes[1] / megabytes[0]:.3f} | {megabytes[2]:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
