"""What holds on one CUDA device, in one table with the card's name; without a device a line says so. `make gpu`.

    python benchmarks/gpu.py [--no-tests] [--recipes glotok semtok vqgan] [--size 32]

First tests/gpu: each loss, quantizer and generator beside the CPU in float32 and bfloat16, no step that waits for the
device, compiled steps, a demo, memory beside the cost model. Then a step of each training of `emoji64`: its time, the
rate of its FLOPs as the cost model counts them (over the card's peak rate it is what `glotok cost` calls utilisation),
and its peak memory beside the model's. `VISTOK_GPU_TESTS=cpu` runs all of it on the CPU, to try the code.
"""

import argparse
import collections
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from machine import best_seconds, header
from vistok.workbench.cost.trainings import DryRun, Training

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("glotok", "semtok", "vqgan")
COLUMNS = ("training", "images", "ms a step", "images/s", "TFLOP/s", "peak MB", "of the cost model's")


class Outcomes:
    """A plugin of pytest that counts what became of each test, its parameters together."""

    def __init__(self) -> None:
        self.found: dict[str, collections.Counter[str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note; what was skipped or failed before it ran counts, too."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
            self.found.setdefault(name, collections.Counter())[report.outcome] += 1

    def lines(self) -> Iterator[str]:
        """A row a test."""
        for name, counts in self.found.items():
            yield f"| {name} | {counts['passed']} | {counts['failed']} | {counts['skipped']} |"


def tests() -> tuple[int, list[str]]:
    """Run tests/gpu; its exit status and a row a test."""
    import pytest

    outcomes = Outcomes()
    status = pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "gpu")], plugins=[outcomes])
    return int(status), list(outcomes.lines())


def step_line(recipe: str, place: int, size: int, device: torch.device) -> str:
    """The row of one training: the place in the recipe's list, on micro-batches of ``size`` images."""
    cost = importlib.import_module(f"{recipe}.cost")
    precision = "bf16" if device.type == "cuda" else "no"
    config = importlib.import_module(f"{recipe}.config").load("emoji64", [f"train.mixed_precision={precision}"])
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    training: Training = cost.trainings(config, DryRun(device, pretend=False))[place]
    model = cost.trainings(config, DryRun())[place].count(size, training.starts[-1])

    def step() -> None:
        training.step(size, training.starts[-1])
        if device.type == "cuda":
            torch.cuda.synchronize()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, memory = best_seconds(step, least=1.0), ("", "")
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() - before
        memory = (f"{peak / 1e6:.0f}", f"{peak / model.peak:.2f}")
    figures = f"{1e3 * seconds:.1f} | {size / seconds:.0f} | {model.flops / seconds / 1e12:.3g}"
    return f"| {recipe}, {training.name} | {size} | {figures} | {memory[0]} | {memory[1]} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-tests", action="store_true", help="only the steps")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES), help="whose steps are measured")
    parser.add_argument("--size", type=int, default=32, help="images of a step")
    options = parser.parse_args()
    device = torch.device(os.environ.get("VISTOK_GPU_TESTS", "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was run")
        return 0
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU, to try the code: not a card's figures"
    status, rows = (0, []) if options.no_tests else tests()
    print(f"\n{name}, torch {torch.__version__}, CUDA {torch.version.cuda}\n")
    if rows:
        print("| what | held | did not | left out |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    torch.set_float32_matmul_precision("high")
    header(*COLUMNS)
    for recipe in options.recipes:
        config = importlib.import_module(f"{recipe}.config").load("emoji64")
        for place in range(len(importlib.import_module(f"{recipe}.cost").trainings(config, DryRun()))):
            print(step_line(recipe, place, options.size, device), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
