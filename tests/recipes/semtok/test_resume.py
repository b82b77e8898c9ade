"""Killed and resumed equals uninterrupted, to the bit, in every stage; the same seed twice gives the same metrics."""

import shutil
from dataclasses import replace

import pytest

from _support.forked_processes import killed
from _support.recipe_processes import of_stage
from _support.semtok_runs import TINY
from semtok.cli import COMMANDS, Options
from semtok.paths import RunPaths


def assert_same(paths, reference, stage, kept):
    assert (paths.folder / kept).read_bytes() == (reference / kept).read_bytes()
    assert of_stage(paths.folder, stage) == of_stage(reference, stage) != []


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_tokenizer_run_resumes_to_the_same_bits_and_so_does_stage_two_after_it(
    tiny_run, stage_one, stage_two, where, step
):
    options, paths = tiny_run
    killed("semtok", "tokenizer", options, where, step)
    COMMANDS["train-tokenizer"](replace(options, resume=True))
    assert_same(paths, stage_one, "tokenizer", "tokenizer/model.safetensors")
    if (where, step) == ("step", 3):
        COMMANDS["train-refiner"](options)
        assert_same(paths, stage_two, "refiner", "refined/model.safetensors")


@pytest.mark.parametrize(("where", "step"), [("step", 5), ("write", 4)])
def test_a_killed_refiner_run_resumes_to_the_same_bits(trained_run, stage_two, where, step):
    """Step 5 has the discriminator, and its state, behind it."""
    options, paths = trained_run
    killed("semtok", "refiner", options, where, step)
    COMMANDS["train-refiner"](replace(options, resume=True))
    assert_same(paths, stage_two, "refiner", "refined/model.safetensors")


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_generator_run_resumes_to_the_same_bits(trained_run, tmp_path, where, step):
    options, paths = trained_run
    reference = Options(config=TINY, runs=tmp_path / "reference")
    shutil.copytree(paths.folder, reference.runs / "tiny")
    COMMANDS["train-generator"](reference)
    killed("semtok", "generator", options, where, step)
    COMMANDS["train-generator"](replace(options, resume=True))
    assert_same(paths, reference.runs / "tiny", "masked", "generator-masked.safetensors")


def test_an_average_of_the_weights_resumes_too(tiny_run, tmp_path):
    options, paths = tiny_run
    options = replace(options, set=("train.ema_decay=0.5", "train.steps=4"))
    whole = replace(options, runs=tmp_path / "whole")
    shutil.copytree(paths.folder, whole.runs / "tiny")
    COMMANDS["train-tokenizer"](whole)
    shutil.copytree(whole.runs / "tiny", paths.folder, dirs_exist_ok=True)
    (paths.tokenizer_checkpoints / "step-000000004.pt").unlink()
    shutil.rmtree(paths.tokenizer)
    COMMANDS["train-tokenizer"](replace(options, resume=True))
    assert_same(paths, whole.runs / "tiny", "tokenizer", "tokenizer/model.safetensors")


def test_the_same_seed_twice_gives_identical_metrics_and_another_seed_does_not(tiny_run, stage_one):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    assert_same(paths, stage_one, "tokenizer", "tokenizer/model.safetensors")
    COMMANDS["train-tokenizer"](replace(options, seed=1, fresh=True))
    assert of_stage(paths.folder, "tokenizer") != of_stage(stage_one, "tokenizer")


def test_what_a_run_leaves_is_where_the_paths_say(stage_two):
    paths = RunPaths(stage_two)
    for file in (paths.alignment, paths.tokens, paths.tokenizer / "config.json", paths.refined / "model.safetensors"):
        assert file.exists()
    assert len(list(paths.refiner_checkpoints.glob("step-*.pt"))) == 2
