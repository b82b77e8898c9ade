"""A recipe in processes of its own: whole commands, and stages that are killed while they train."""

import subprocess
import sys

# Runs a stage in a process of its own and kills it (SIGKILL) at a step: in the middle of the step, or when half of the
# checkpoint after it is written.
KILLED = """
import importlib, os, signal, sys, pathlib
from vistok.workbench import checkpoint
recipe, name, config, where = sys.argv[1:5]
runs, step = pathlib.Path(sys.argv[5]), int(sys.argv[6])
cli = importlib.import_module(f"{recipe}.cli")
own = "vistok.workbench.generator_training" if name == "generator" else f"{recipe}.train_{name}"
stage = importlib.import_module(own)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
check = stage.check_finite
def in_step(terms, at, batch, folder):
    if at == step: die()
    check(terms, at, batch, folder)
def half_written(state, file):
    if checkpoint.step_of(pathlib.Path(file.name.replace(".partial", "").replace(".step", "step"))) == step:
        file.write(b"PK half of a checkpoint"); file.flush(); die()
    save(state, file)
save = checkpoint.torch.save
if where == "step": stage.check_finite = in_step
else: checkpoint.torch.save = half_written
getattr(cli, f"train_{name}")(cli.Options(config=config, runs=runs))
"""


def killed(recipe, stage, options, where, step):
    """Train a stage of a recipe until it is killed; ``where`` is ``"step"`` or ``"write"``."""
    command = [sys.executable, "-c", KILLED, recipe, stage, options.config, where, str(options.runs), str(step)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def of_stage(folder, stage):
    """The lines that a stage wrote to the metrics of a run."""
    return [line for line in (folder / "metrics.jsonl").read_text().splitlines() if f'"stage": "{stage}"' in line]


def run_command(recipe, *arguments, timeout):
    """The recipe's command line, with what it printed."""
    return subprocess.run(
        [sys.executable, "-m", recipe, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
