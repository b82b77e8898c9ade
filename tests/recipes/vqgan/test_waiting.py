"""Between logs and checkpoints the host waits for no value of the device, in a step of any training of the recipe."""

import shutil

import pytest

import vqgan.train_generator
import vqgan.train_tokenizer
from _support.mutants import catches
from _support.pretended_cuda import Event, Passed, on_pretended_cuda
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.training import generator_training

SELDOM = ("log_every=100", "checkpoint_every=100", "steps=100", "ema_decay=0.5")


def waits_for_nothing(paths, monkeypatch, kind):
    changes = (
        "train.codebook_start=random",
        "train.revive_every=50",
        "losses.discriminator_start=1",
        with_quantizer(kind),
    )
    config = tiny(*(f"train.{change}" for change in SELDOM), *changes)
    on_pretended_cuda(monkeypatch, vqgan.train_tokenizer, steps=3)
    with pytest.raises(Passed):
        vqgan.train_tokenizer.train_tokenizer(config, paths, resume=False)
    assert Event.waited == 3  # for the terms of the first two steps, of which one had a discriminator's


@catches(
    "vqgan.train_tokenizer",
    "loss_terms(images, out, quantizer, logits)\n",
    "loss_terms(images, out, quantizer, logits if bool(images.sum()) else None)\n",
)
def test_a_step_of_the_tokenizer_waits_for_nothing(tiny_run, monkeypatch):
    waits_for_nothing(tiny_run[1], monkeypatch, "gradient")


@pytest.mark.parametrize("kind", [kind for kind in QUANTIZERS if kind != "gradient"])
def test_nor_does_one_with_another_quantizer(tiny_run, monkeypatch, kind):
    waits_for_nothing(tiny_run[1], monkeypatch, kind)


@pytest.mark.parametrize("name", ["xar", "far", "masked"])
def test_a_step_of_a_generator_waits_for_nothing(encoded, tmp_path, monkeypatch, name):
    shutil.copytree(encoded, tmp_path / "tiny")
    config = tiny(*(f"generators.{name}.train.{change}" for change in SELDOM))
    on_pretended_cuda(monkeypatch, generator_training, steps=3)
    with pytest.raises(Passed):
        vqgan.train_generator.train_generator(config, RunPaths(tmp_path / "tiny"), name, resume=False)
    assert Event.waited == 2
