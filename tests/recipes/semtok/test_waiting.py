"""Between logs and checkpoints the host waits for no value of the device, in a step of any training of the recipe."""

import pytest

import semtok.alignment
import semtok.train_generator
import semtok.train_refiner
import semtok.train_tokenizer
from _support.pretended_cuda import Event, Passed, on_pretended_cuda
from _support.semtok_runs import tiny
from vistok.workbench.training import generator_training

SELDOM = ("log_every=100", "checkpoint_every=100", "steps=100", "ema_decay=0.5")


@pytest.mark.parametrize("cached", [True, False])
def test_a_step_of_stage_one_waits_for_nothing(tiny_run, monkeypatch, cached):
    _, paths = tiny_run
    config = tiny(*(f"train.{change}" for change in SELDOM), f"alignment.cache={cached}")
    monkeypatch.setattr(semtok.alignment, "write_cache", lambda *_: None)  # it is there, and asks the weights
    on_pretended_cuda(monkeypatch, semtok.train_tokenizer, steps=3)
    with pytest.raises(Passed):
        semtok.train_tokenizer.train_tokenizer(config, paths, resume=False)
    assert Event.waited == 2


@pytest.mark.parametrize("start", ["sample", "noise"])
def test_a_step_of_the_refiner_waits_for_nothing(trained_run, monkeypatch, start):
    _, paths = trained_run
    changes = (f"refiner.input={start}", "refiner.discriminator_start=1")
    config = tiny(*(f"train_refiner.{change}" for change in SELDOM), *changes)
    on_pretended_cuda(monkeypatch, semtok.train_refiner, steps=3)
    with pytest.raises(Passed):
        semtok.train_refiner.train_refiner(config, paths, resume=False)
    assert Event.waited == 3


@pytest.mark.parametrize("name", ["far", "masked"])
def test_a_step_of_a_generator_waits_for_nothing(trained_run, monkeypatch, name):
    _, paths = trained_run
    config = tiny(*(f"generators.{name}.train.{change}" for change in SELDOM))
    on_pretended_cuda(monkeypatch, generator_training, steps=3)
    with pytest.raises(Passed):
        semtok.train_generator.train_generator(config, paths, name, resume=False)
    assert Event.waited == 2
