"""Between logs and checkpoints the host waits for no value of the device, in a step of any training of the recipe."""

import shutil

import pytest

import glotok.train_generator
import glotok.train_tokenizer
from _support.glotok_runs import tiny
from _support.mutants import catches
from _support.pretended_cuda import Event, Passed, on_pretended_cuda
from glotok.paths import RunPaths
from vistok.workbench.training import generator_training

SELDOM = ("log_every=100", "checkpoint_every=100", "steps=100", "ema_decay=0.5")


@catches(
    "glotok.train_tokenizer",
    "terms, adversary, reals, step.index)\n",
    "terms, adversary, reals, int(reals[0].sum()))\n",
)
def test_a_step_of_the_tokenizer_waits_for_nothing(tiny_run, monkeypatch):
    _, paths = tiny_run
    config = tiny(*(f"train.{change}" for change in SELDOM), "train.revive_every=50", "losses.discriminator_start=1")
    on_pretended_cuda(monkeypatch, glotok.train_tokenizer, steps=3)
    with pytest.raises(Passed):
        glotok.train_tokenizer.train_tokenizer(config, paths, resume=False)
    assert Event.waited == 3  # for the terms of the first two steps, of which one had a discriminator's


@pytest.mark.parametrize("name", ["xar", "far", "masked"])
def test_a_step_of_a_generator_waits_for_nothing(encoded, tmp_path, monkeypatch, name):
    shutil.copytree(encoded, tmp_path / "tiny")
    config = tiny(*(f"generators.{name}.train.{change}" for change in SELDOM))
    on_pretended_cuda(monkeypatch, generator_training, steps=3)
    with pytest.raises(Passed):
        glotok.train_generator.train_generator(config, RunPaths(tmp_path / "tiny"), name, resume=False)
    assert Event.waited == 2
