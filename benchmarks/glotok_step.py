"""Time and memory of one tokenizer training step, by how the semantic codebook is aligned, and by precision.

    python benchmarks/glotok_step.py [--config digits] [--repeats 7] [--steps 5]

The whole step as the recipe runs it, discriminator and optimizers included: without alignment, with the relation
histogram, with contrastive alignment, whose backbone runs on the batch in every step. All rows run in one process, in
turn, so that a busy machine slows them alike; medians are shown, of the process's time on one thread. Peak memory is
that of a process of its own for each row.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from typing import Any

import torch

from glotok.config import load
from machine import step_clock
from steps.ours import glotok_of
from vistok.workbench.run.folder import environment_record

ROWS = {
    "none, float32": ("none", "no"),
    "none": ("none", "bf16"),
    "histogram": ("histogram", "bf16"),
    "contrastive": ("contrastive", "bf16"),
}


def prepared(config_name: str, row: str) -> Any:
    """The step of a row."""
    alignment, precision = ROWS[row]
    changes = (f"losses.alignment={alignment}", f"train.mixed_precision={precision}", "tokenizer.residual=true")
    config = load(config_name, changes)
    torch.manual_seed(0)
    shape = (config.train.batch_size, config.tokenizer.image_channels, config.data.image_size, config.data.image_size)
    return glotok_of(config, torch.rand(shape) * 2 - 1, adversarial=True).run


def peak_memory(config_name: str, row: str, steps: int) -> float:
    """MiB of a process that only makes steps of a row."""
    command = [sys.executable, __file__, "--config", config_name, "--steps", str(steps), "--peak-of", row]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="digits")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of all rows")
    parser.add_argument("--steps", type=int, default=5, help="steps that a row makes in a round")
    parser.add_argument("--peak-of", choices=ROWS, help="only make steps of this row, and print the peak memory")
    options = parser.parse_args()
    if options.peak_of:
        step = prepared(options.config, options.peak_of)
        for index in range(options.steps):
            step(index)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    peaks = {row: peak_memory(options.config, row, options.steps) for row in ROWS}
    steps, clock = {row: prepared(options.config, row) for row in ROWS}, step_clock()
    taken: dict[str, list[float]] = {row: [] for row in ROWS}
    for repeat in range(options.repeats + 1):
        for row, step in steps.items():
            start = clock()
            for index in range(options.steps):
                step(index)
            if repeat:  # the first round warms up
                taken[row].append((clock() - start) / options.steps)
    times = {row: statistics.median(seconds) for row, seconds in taken.items()}
    machine = environment_record()
    print(f"{machine['processor']}, {machine['torch_threads']} threads, torch {machine['versions']['torch']}")
    rounds = f"median of {options.repeats} rounds of {options.steps}"
    print(f"one step of the tokenizer, configuration {options.config}, bfloat16 unless said, {rounds}\n")
    print("| alignment | ms | to none | peak MiB |\n|---|---|---|---|")
    for row, seconds in times.items():
        print(f"| {row} | {1e3 * seconds:.0f} | {seconds / times['none']:.2f} | {peaks[row]:.0f} |")


if __name__ == "__main__":
    main()
