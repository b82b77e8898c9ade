"""Stopped and resumed equals uninterrupted, to the bit, with every quantizer; the same seed twice is the same run."""

import shutil
from dataclasses import replace

import pytest

from _support.forked_processes import killed
from _support.recipe_processes import of_stage
from _support.vqgan_runs import QUANTIZERS, TINY, with_quantizer
from vistok.workbench.command_line import UnexpectedError
from vistok.workbench.config import ConfigError
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.training.finite import FiniteLosses
from vqgan.cli import COMMANDS, Options


@pytest.fixture(scope="module")
def uninterrupted(encoded, tmp_path_factory):
    runs = tmp_path_factory.mktemp("uninterrupted")
    shutil.copytree(encoded, runs / "tiny")
    COMMANDS["train-generator"](Options(config=TINY, runs=runs))
    return RunPaths(runs / "tiny")


def weights(paths):
    return (paths.tokenizer / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("where", "step"), [("step", 3), ("write", 4)])
def test_a_killed_tokenizer_run_resumes_to_the_same_bits(tiny_run, uninterrupted, where, step):
    options, paths = tiny_run
    killed("vqgan", "tokenizer", options, where, step)
    COMMANDS["train-tokenizer"](replace(options, resume=True))
    assert weights(paths) == weights(uninterrupted)
    assert of_stage(paths.folder, "tokenizer") == of_stage(uninterrupted.folder, "tokenizer")


class PowerCut(RuntimeError):
    """What stops a training in the middle of a step."""


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizers_run_resumes_to_the_same_bits(name, tiny_run, tmp_path, monkeypatch):
    stopped, paths = tiny_run
    changes = (with_quantizer(name), "train.ema_decay=0.5", "losses.perceptual_weight=0")
    stopped = replace(stopped, set=changes)
    whole = replace(stopped, runs=tmp_path / "whole")
    COMMANDS["train-tokenizer"](whole)
    check = FiniteLosses.check

    def cut(self, terms, step, batch):
        if step == 5:
            raise PowerCut
        check(self, terms, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(FiniteLosses, "check", cut)
        with pytest.raises(UnexpectedError, match="PowerCut"):
            COMMANDS["train-tokenizer"](stopped)
    COMMANDS["train-tokenizer"](replace(stopped, resume=True))
    reference = RunPaths(whole.runs / "tiny")
    assert weights(paths) == weights(reference)
    assert of_stage(paths.folder, "tokenizer") == of_stage(reference.folder, "tokenizer")


@pytest.mark.parametrize(("where", "step"), [("step", 3)])
def test_a_killed_generator_run_resumes_to_the_same_bits(tmp_path, encoded, uninterrupted, where, step):
    shutil.copytree(encoded, tmp_path / "tiny")
    options, paths = Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
    killed("vqgan", "generator", options, where, step)
    COMMANDS["train-generator"](replace(options, resume=True))
    assert paths.generator("xar").read_bytes() == uninterrupted.generator("xar").read_bytes()
    assert of_stage(paths.folder, "xar") == of_stage(uninterrupted.folder, "xar")


def test_the_same_seed_twice_gives_identical_metrics_and_another_seed_does_not(tiny_run, uninterrupted):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    assert of_stage(paths.folder, "tokenizer") == of_stage(uninterrupted.folder, "tokenizer")
    with pytest.raises(ConfigError, match="--fresh"):
        COMMANDS["train-tokenizer"](replace(options, seed=1))
    COMMANDS["train-tokenizer"](replace(options, seed=1, fresh=True))
    assert of_stage(paths.folder, "tokenizer") != of_stage(uninterrupted.folder, "tokenizer")
