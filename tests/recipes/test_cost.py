"""What a training takes as it is counted, beside what it really takes; and that every configuration can be counted."""

import importlib
import importlib.util
import sys

import pytest
import torch

from _support.mutants import catches
from surface.repository import RECIPES, ROOT
from vistok.workbench.cost.trainings import DryRun

CPU = torch.device("cpu")
CONFIGURATIONS = [
    (recipe, file.stem) for recipe in RECIPES for file in sorted((ROOT / "recipes" / recipe / "configs").glob("*.yaml"))
]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmarks_cost_model", ROOT / "benchmarks" / "cost_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny(recipe, *changes):
    load = importlib.import_module(f"{recipe}.config").load
    return load(str(ROOT / "tests" / "_support" / f"tiny_{recipe}.yaml"), changes)


def is_the_step_with_values(recipe):
    cost, config = importlib.import_module(f"{recipe}.cost"), tiny(recipe)
    model, values = cost.trainings(config, DryRun()), cost.trainings(config, DryRun(CPU))
    assert len(model) == len(config.generators) + (2 if recipe == "semtok" else 1)
    for ours, theirs in zip(model, values, strict=True):
        counts = [ours.count(4, start) for start in ours.starts]
        flops = [each.flops for each in counts]
        assert flops == sorted(set(flops))  # from each start on there is more to do
        reality = theirs.count(4, ours.starts[-1])
        assert reality.flops == flops[-1]
        assert reality.peak == pytest.approx(counts[-1].peak, rel=0.1)


@catches("glotok.cost", "if index >= losses.discriminator_start", "if index < losses.discriminator_start")
def test_glotok_is_counted_as_it_runs_with_values():
    is_the_step_with_values("glotok")


@catches("semtok.cost", "if index >= losses.discriminator_start", "if index < losses.discriminator_start")
def test_semtok_is_counted_as_it_runs_with_values():
    is_the_step_with_values("semtok")


@catches("vqgan.cost", "if index >= losses.discriminator_start", "if index < losses.discriminator_start")
def test_vqgan_is_counted_as_it_runs_with_values():
    is_the_step_with_values("vqgan")


@pytest.mark.slow
def test_alignment_with_a_backbone_counts_the_backbone_and_without_a_cache_runs_it():
    sizes = [
        importlib.import_module("semtok.cost").tokenizer_training(tiny("semtok", f"alignment.cache={cache}"), DryRun())
        for cache in (True, False)
    ]
    cached, not_cached = (training.count(4, 0).flops for training in sizes)
    assert "alignment backbone" in sizes[0].frozen
    assert not_cached > cached
    contrastive = tiny("glotok", "losses.alignment=contrastive")
    training = importlib.import_module("glotok.cost").tokenizer_training(contrastive, DryRun())
    assert list(training.frozen) == ["perceptual network", "alignment backbone"]
    assert training.count(4, 0).flops > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the pages that a process holds")
@pytest.mark.parametrize("number", range(10))
def test_memory_is_within_a_tenth_of_what_a_process_takes_and_flops_within_a_hundredth(benchmark, number):
    found = benchmark.compared(number)
    assert found["card"] == pytest.approx(found["model"], rel=0.1)
    assert found["flops"] == pytest.approx(found["model_flops"], rel=0.01)


@pytest.mark.slow
@pytest.mark.timeout(900)  # minutes of one core for the largest
@pytest.mark.parametrize(("recipe", "name"), CONFIGURATIONS)
def test_the_command_counts_every_shipped_configuration(recipe, name, capsys):
    command = importlib.import_module(f"{recipe}.cli").COMMANDS["cost"]
    command(command.__annotations__["options"](config=name, gpus=4))
    assert "| tokenizer | tokenizer |" in capsys.readouterr().out
