"""A recipe in processes of its own: whole commands, and lines of the documentation."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vistok.workbench.run.tracking import read_metrics


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


def launched(count, *arguments, timeout):
    """What follows ``torchrun --nproc_per_node COUNT`` on a line, run; at a port that is free."""
    return run_line(shlex.join(["torchrun", "--nproc_per_node", str(count), *map(str, arguments)]), timeout=timeout)


def run_line(line, *further, timeout):
    """A line of the documentation that begins with ``torchrun``, with further options; at a port that is free."""
    program, *words = shlex.split(line)
    assert program == "torchrun"
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, *map(str, further)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PET_STANDALONE": "1"},
    )


def documented_line(recipe, stage):
    """The line of a recipe's page that starts two processes for a stage."""
    page = (Path(__file__).parents[2] / "recipes" / recipe / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^torchrun --nproc_per_node 2 -m {recipe} {stage}(?= |$)", page, re.MULTILINE)
    return line


def assert_same_training(one, other, stage, kept, *, steps):
    """Two runs wrote the same terms at every step of a stage, and the same weights in a file, to float32 rounding.

    Where a gradient is zero but for rounding (the last bias of a discriminator under a hinge), Adam makes a whole step
    in a direction of chance: logits may differ by the rate of a few steps.
    """
    first, second = (
        [line for line in read_metrics(folder / "metrics.jsonl") if line["stage"] == stage] for folder in (one, other)
    )
    assert len(first) == len(second) == steps
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"stage"}:
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=steps * a["learning_rate"]), (name, a["step"])
    ours, theirs = (load_file(folder / kept) for folder in (one, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if value.is_floating_point():
            torch.testing.assert_close(
                theirs[name], value, rtol=0, atol=2e-3, msg=lambda text, name=name: f"{name}: {text}"
            )
