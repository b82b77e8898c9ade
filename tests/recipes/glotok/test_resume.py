"""Killed and resumed equals uninterrupted, to the bit; the same seed twice gives the same metrics."""

import shutil
from dataclasses import replace

import pytest

from _support.forked_processes import killed
from _support.glotok_runs import TINY
from _support.recipe_processes import of_stage
from glotok.cli import COMMANDS, Options
from glotok.paths import RunPaths
from vistok.workbench.config import ConfigError


@pytest.fixture(scope="module")
def uninterrupted(encoded, tmp_path_factory):
    runs = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(encoded, runs / "tiny")
    COMMANDS["train-generator"](Options(config=TINY, runs=runs))
    return RunPaths(runs / "tiny")


@pytest.mark.parametrize(("where", "step"), [("step", 0), ("step", 3), ("write", 2), ("write", 4)])
def test_a_killed_tokenizer_run_resumes_to_the_same_bits(tiny_run, uninterrupted, where, step):
    options, paths = tiny_run
    killed("glotok", "tokenizer", options, where, step)
    COMMANDS["train-tokenizer"](replace(options, resume=True))
    assert (paths.tokenizer / "model.safetensors").read_bytes() == (
        uninterrupted.tokenizer / "model.safetensors"
    ).read_bytes()
    assert of_stage(paths.folder, "tokenizer") == of_stage(uninterrupted.folder, "tokenizer")


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_generator_run_resumes_to_the_same_bits(tmp_path, encoded, uninterrupted, where, step):
    shutil.copytree(encoded, tmp_path / "tiny")
    options, paths = Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
    killed("glotok", "generator", options, where, step)
    COMMANDS["train-generator"](replace(options, resume=True))
    assert paths.generator("xar").read_bytes() == uninterrupted.generator("xar").read_bytes()
    assert of_stage(paths.folder, "xar") == of_stage(uninterrupted.folder, "xar")


def test_the_same_seed_twice_gives_identical_metrics_and_another_seed_does_not(tiny_run, uninterrupted, tmp_path):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    assert of_stage(paths.folder, "tokenizer") == of_stage(uninterrupted.folder, "tokenizer")
    COMMANDS["teacher"](replace(options, seed=1, fresh=True))
    COMMANDS["train-tokenizer"](replace(options, seed=1))
    assert of_stage(paths.folder, "tokenizer") != of_stage(uninterrupted.folder, "tokenizer")


def test_starting_over_on_checkpoints_needs_resume(tiny_run):
    options, _ = tiny_run
    COMMANDS["train-tokenizer"](options)
    with pytest.raises(ConfigError, match="holds checkpoints; --resume continues"):
        COMMANDS["train-tokenizer"](options)
