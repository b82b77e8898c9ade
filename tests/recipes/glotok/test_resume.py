"""Killed and resumed equals uninterrupted, to the bit; the same seed twice gives the same metrics."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from _support.glotok_runs import TINY
from glotok.cli import Options, encode, train_generator, train_tokenizer
from glotok.paths import RunPaths
from vistok.workbench.config import ConfigError

# Runs a stage in a process of its own and kills it (SIGKILL) at a step: in the middle of the step, or when half of the
# checkpoint after it is written.
KILLED = """
import os, signal, sys, pathlib
from glotok import cli
from glotok import train_tokenizer
from vistok.workbench import checkpoint, generator_training
config, runs, where, step = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
stage = {{"tokenizer": train_tokenizer, "generator": generator_training}}["{stage}"]
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
cli.train_{stage}(cli.Options(config=config, runs=runs))
"""


def killed(stage, options, where, step):
    command = [sys.executable, "-c", KILLED.format(stage=stage), options.config, str(options.runs), where, str(step)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


@pytest.fixture(scope="module")
def uninterrupted(prepared, tmp_path_factory):
    runs = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(prepared, runs / "tiny")
    options = Options(config=TINY, runs=runs)
    train_tokenizer(options)
    encode(options)
    after_tokens = tmp_path_factory.mktemp("tokens") / "tiny"
    shutil.copytree(runs / "tiny", after_tokens)
    train_generator(options)
    return RunPaths(runs / "tiny"), after_tokens


def of_stage(paths, stage):
    return [line for line in paths.metrics.read_text().splitlines() if f'"stage": "{stage}"' in line]


@pytest.mark.parametrize(("where", "step"), [("step", 0), ("step", 3), ("write", 2), ("write", 4)])
def test_a_killed_tokenizer_run_resumes_to_the_same_bits(tiny_run, uninterrupted, where, step):
    options, paths = tiny_run
    killed("tokenizer", options, where, step)
    train_tokenizer(replace(options, resume=True))
    reference, _ = uninterrupted
    assert (paths.tokenizer / "model.safetensors").read_bytes() == (
        reference.tokenizer / "model.safetensors"
    ).read_bytes()
    assert of_stage(paths, "tokenizer") == of_stage(reference, "tokenizer")


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_generator_run_resumes_to_the_same_bits(tmp_path, uninterrupted, where, step):
    reference, after_tokens = uninterrupted
    shutil.copytree(after_tokens, tmp_path / "tiny")
    options, paths = Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
    killed("generator", options, where, step)
    train_generator(replace(options, resume=True))
    assert paths.generator("xar").read_bytes() == reference.generator("xar").read_bytes()
    assert of_stage(paths, "xar") == of_stage(reference, "xar")


def test_the_same_seed_twice_gives_identical_metrics_and_another_seed_does_not(tiny_run, uninterrupted, tmp_path):
    options, paths = tiny_run
    reference, _ = uninterrupted
    train_tokenizer(options)
    assert of_stage(paths, "tokenizer") == of_stage(reference, "tokenizer")
    shutil.rmtree(paths.folder / "checkpoints")
    (paths.folder / "config.yaml").unlink()
    train_tokenizer(replace(options, seed=1))
    assert of_stage(paths, "tokenizer") != of_stage(reference, "tokenizer")


def test_starting_over_on_checkpoints_needs_resume(tiny_run):
    options, _ = tiny_run
    train_tokenizer(options)
    with pytest.raises(ConfigError, match="holds checkpoints; --resume continues"):
        train_tokenizer(options)
