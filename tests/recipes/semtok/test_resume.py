"""Killed and resumed equals uninterrupted, to the bit, in every stage; the same seed twice gives the same metrics."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from _support.semtok_runs import TINY
from semtok.cli import Options, train_generator, train_refiner, train_tokenizer
from semtok.paths import RunPaths

# Runs a stage in a process of its own and kills it (SIGKILL) at a step: in the middle of the step, or when half of the
# checkpoint after it is written.
KILLED = """
import os, signal, sys, pathlib
from semtok import cli, train_refiner, train_tokenizer
from vistok.workbench import checkpoint, generator_training
config, runs, where, step = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
stage = {{"tokenizer": train_tokenizer, "refiner": train_refiner, "generator": generator_training}}["{stage}"]
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


def of_stage(folder, stage):
    return [line for line in (folder / "metrics.jsonl").read_text().splitlines() if f'"stage": "{stage}"' in line]


def assert_same(paths, reference, stage, kept):
    assert (paths.folder / kept).read_bytes() == (reference / kept).read_bytes()
    assert of_stage(paths.folder, stage) == of_stage(reference, stage) != []


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_tokenizer_run_resumes_to_the_same_bits_and_so_does_stage_two_after_it(
    tiny_run, stage_one, stage_two, where, step
):
    options, paths = tiny_run
    killed("tokenizer", options, where, step)
    train_tokenizer(replace(options, resume=True))
    assert_same(paths, stage_one, "tokenizer", "tokenizer/model.safetensors")
    if (where, step) == ("step", 3):
        train_refiner(options)
        assert_same(paths, stage_two, "refiner", "refined/model.safetensors")


@pytest.mark.parametrize(("where", "step"), [("step", 5), ("write", 4)])
def test_a_killed_refiner_run_resumes_to_the_same_bits(trained_run, stage_two, where, step):
    """Step 5 has the discriminator, and its state, behind it."""
    options, paths = trained_run
    killed("refiner", options, where, step)
    train_refiner(replace(options, resume=True))
    assert_same(paths, stage_two, "refiner", "refined/model.safetensors")


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_generator_run_resumes_to_the_same_bits(trained_run, tmp_path, where, step):
    options, paths = trained_run
    reference = Options(config=TINY, runs=tmp_path / "reference")
    shutil.copytree(paths.folder, reference.runs / "tiny")
    train_generator(reference)
    killed("generator", options, where, step)
    train_generator(replace(options, resume=True))
    assert_same(paths, reference.runs / "tiny", "masked", "generator-masked.safetensors")


def test_an_average_of_the_weights_resumes_too(tiny_run, tmp_path):
    options, paths = tiny_run
    options = replace(options, set=("train.ema_decay=0.5", "train.steps=4"))
    whole = replace(options, runs=tmp_path / "whole")
    shutil.copytree(paths.folder, whole.runs / "tiny")
    train_tokenizer(whole)
    shutil.copytree(whole.runs / "tiny", paths.folder, dirs_exist_ok=True)
    (paths.tokenizer_checkpoints / "step-000000004.pt").unlink()
    shutil.rmtree(paths.tokenizer)
    train_tokenizer(replace(options, resume=True))
    assert_same(paths, whole.runs / "tiny", "tokenizer", "tokenizer/model.safetensors")


def test_the_same_seed_twice_gives_identical_metrics_and_another_seed_does_not(tiny_run, stage_one):
    options, paths = tiny_run
    train_tokenizer(options)
    assert_same(paths, stage_one, "tokenizer", "tokenizer/model.safetensors")
    shutil.rmtree(paths.folder / "checkpoints")
    (paths.folder / "config.yaml").unlink()
    train_tokenizer(replace(options, seed=1))
    assert of_stage(paths.folder, "tokenizer") != of_stage(stage_one, "tokenizer")


def test_what_a_run_leaves_is_where_the_paths_say(stage_two):
    paths = RunPaths(stage_two)
    for file in (paths.alignment, paths.tokens, paths.tokenizer / "config.json", paths.refined / "model.safetensors"):
        assert file.exists()
    assert len(list(paths.refiner_checkpoints.glob("step-*.pt"))) == 2
