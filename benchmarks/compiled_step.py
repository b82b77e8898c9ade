"""After how many steps `torch.compile` of a network that trains has paid for itself.

    python benchmarks/compiled_step.py [--cases glotok semtok xar glotok_128] [--threads 1 2] [--steps 12]

Each row is the training step of a recipe's demo, as the recipe runs it and with the network compiled before it is
prepared. "Cold" starts with an empty cache of Inductor, "warm" with the one that the cold row filled. Start-up is what
the first steps take beyond as many later ones, in seconds of processor time, the compilers' too, which work one after
another. A step's time is the best: of the process on one thread, of the clock on more. Each row is its own process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch

from machine import step_clock
from steps import ours
from steps.ours import Wrap, unchanged
from steps.sizes import TrainingStep

CASES = {
    "glotok": "GloTok, digits at 32 px, batch 32",
    "semtok": "SemTok stage I, digits at 32 px, batch 32",
    "xar": "xAR, digits' tokens, batch 32",
    "glotok_128": "GloTok, 128 px, batch 8",
}
FIRST = 3  # steps that start-up is looked for in


def build(case: str, wrap: Wrap) -> TrainingStep:
    """The step of a case, in the demo's precision; GloTok's with its discriminator, which is not compiled."""
    from glotok.config import load as load_glotok
    from semtok.config import load as load_semtok

    if case == "xar":
        return ours.generator("xar", 32, "bf16", wrap=wrap)
    if case == "semtok":
        config = load_semtok("digits", ("losses.alignment_weight=0",))
        return ours.semtok_of(config, torch.rand(32, 1, 32, 32) * 2 - 1, wrap=wrap)
    size, batch = (128, 8) if case == "glotok_128" else (32, 32)
    given = (f"data.image_size={size}", f"tokenizer.image_size={size}", f"train.batch_size={batch}")
    images = torch.rand(batch, 1, size, size) * 2 - 1
    config = load_glotok("digits", (*given, "tokenizer.residual=true"))
    return ours.glotok_of(config, images, adversarial=True, wrap=wrap)


def measure(case: str, compiled: bool, threads: int, steps: int) -> dict[str, float]:
    """Start-up and the best step, in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = build(case, torch.compile if compiled else unchanged)
    before = spent()
    for index in range(FIRST):
        step.run(index)
    first, clock, taken, after = spent() - before, step_clock(), [], spent()
    for index in range(steps):
        start = clock()
        step.run(FIRST + index)
        taken.append(clock() - start)
    return {"step": min(taken), "start": first - FIRST * (spent() - after) / steps}


def spent() -> float:
    """Seconds of processor time of this process and of those that it waited for."""
    return sum(os.times()[:4])


def in_a_process(case: str, compiled: bool, threads: int, steps: int, cache: str) -> dict[str, float]:
    """The same, from a process of its own with its cache there."""
    command = [sys.executable, __file__, "--cell", case, "compiled" * compiled, str(threads), "--steps", str(steps)]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(case: str, threads: int, steps: int) -> None:
    """Print a case's rows."""
    with tempfile.TemporaryDirectory() as cache:
        eager = in_a_process(case, False, threads, steps, cache)
        cells = f"{1e3 * eager['step']:.0f} | 1.00 | {eager['start']:.1f} | |"
        print(f"| {CASES[case]} | {threads} | as it is | {cells}", flush=True)
        for state in ("cold", "warm"):
            own = in_a_process(case, True, threads, steps, cache)
            gain = eager["step"] - own["step"]
            pays = f"{max(own['start'] - eager['start'], 0) / gain:.0f}" if gain > 0 else "never"
            cells = f"{1e3 * own['step']:.0f} | {own['step'] / eager['step']:.2f} | {own['start']:.1f} | {pays} |"
            print(f"| {CASES[case]} | {threads} | compiled, {state} | {cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        case, compiled, threads = options.cell
        print(json.dumps(measure(case, bool(compiled), int(threads), options.steps)))
        return
    print(f"torch {torch.__version__}, best of {options.steps} steps after the first {FIRST}\n")
    print("| step | threads | network | ms | ratio | start-up, s | pays after steps |\n|---|---|---|---|---|---|---|")
    for case in options.cases:
        for threads in options.threads:
            rows(case, threads, options.steps)


if __name__ == "__main__":
    main()
