"""A whole demo on the device under test, and the memory of steps beside what the cost model says."""

import importlib
import subprocess
import sys
from functools import partial

import pytest
import torch

from _support.glotok_runs import TINY
from vistok.workbench.cost.trainings import DryRun


def test_the_tiny_demo_runs_to_its_report(device, tmp_path):
    command = [sys.executable, "-m", "glotok", "demo", "--config", TINY, "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "tiny" / "report.html").is_file()
    assert f"on {device.type}" in done.stderr


def peak(build, size, device):
    """The most bytes of a step with values: CUDA's own figure, or on the CPU what is alive at once."""
    if device.type != "cuda":
        training = build(dry_run=DryRun(device))
        return training.count(size, training.starts[-1]).peak
    before = torch.cuda.memory_allocated()
    training = build(dry_run=DryRun(device, pretend=False))
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        training.step(size, training.starts[-1])
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize("recipe", ["glotok", "semtok", "vqgan"])
def test_peak_memory_is_within_a_tenth_of_the_cost_models(recipe, device):
    load, cost = (importlib.import_module(f"{recipe}.{name}") for name in ("config", "cost"))
    config = load.load("emoji64", ["train.mixed_precision=bf16"] if device.type == "cuda" else [])
    size = 32 if device.type == "cuda" else 4
    generator = partial(cost.generator_training, config, name=next(iter(config.generators)))
    for build in (partial(cost.tokenizer_training, config), generator):
        model = build(dry_run=DryRun())
        counted = model.count(size, model.starts[-1]).peak
        assert peak(build, size, device) == pytest.approx(counted, rel=0.1)
