"""A generator's training by several processes."""

import shutil
from dataclasses import replace

import pytest

from _support.forked_processes import run_forked_line
from _support.glotok_runs import TINY
from _support.recipe_processes import assert_same_training, documented_line
from glotok.cli import COMMANDS, Options

OTHERS = [("far", "none"), ("masked", "none"), ("xar", "full"), ("far", "full"), ("masked", "full")]


@pytest.mark.parametrize(
    ("generator", "sharding"), [("xar", "none"), *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS)]
)
def test_two_processes_follow_one_that_accumulates_two_micro_batches(generator, sharding, encoded, tmp_path):
    """Labels to drop, dropout, times, noise and masks are drawn for each micro-batch, whoever computes it."""
    section = f"generators.{generator}.train"
    average = 0 if sharding == "none" else 0.5
    rates = (f"{section}.learning_rate=1e-4", f"{section}.ema_decay={average}")
    sharded = (*rates, f"{section}.sharding={sharding}")
    two = Options(config=TINY, generator=generator, runs=tmp_path / "two", set=sharded)
    one = replace(two, runs=tmp_path / "one", set=(*rates, f"generators.{generator}.train.accumulation=2"))
    for options in (one, two):
        shutil.copytree(encoded, options.runs / "tiny")
    COMMANDS["train-generator"](one)
    line = documented_line("glotok", "train-tokenizer").replace("train-tokenizer", "train-generator")
    settings = [word for value in two.set for word in ("--set", value)]
    done = run_forked_line(line, "--config", TINY, "--runs", two.runs, "--generator", generator, *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training in 2 processes on ") == 1
    kept = f"generator-{generator}.safetensors"
    assert_same_training(one.runs / "tiny", two.runs / "tiny", generator, kept, steps=6)
