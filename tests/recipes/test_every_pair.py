"""Tokenizers by generators: every pair that makes sense trains and gives images; the one that does not says why."""

import importlib
from contextlib import nullcontext

import pytest
import torch

from _support import glotok_runs, semtok_runs, vqgan_runs
from vistok.workbench.config import ConfigError
from vistok.workbench.evaluation.sampling import load_samples

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY, "vqgan": vqgan_runs.TINY}
FEW = {
    recipe: tuple(
        setting
        for name in names
        for setting in (f"generators.{name}.train.steps=3", f"generators.{name}.samples.default.num_samples=6")
    )
    for recipe, names in {
        "glotok": ("xar", "far", "masked"),
        "semtok": ("far", "masked"),
        "vqgan": ("xar", "far", "masked"),
    }.items()
}


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory):
    """All recipes up to cached tokens, trained for one step, without the terms that need pretrained features."""
    runs = {}
    for recipe, changes in {
        "glotok": ("train.steps=1", "losses.perceptual_weight=0"),
        "semtok": (
            "train.steps=1",
            "train_refiner.steps=1",
            "losses.perceptual_weight=0",
            "losses.alignment_weight=0",
            "refiner.perceptual_weight=0",
            "generators.masked.samples.default.progress_samples=2",
        ),
        "vqgan": ("train.steps=1", "losses.perceptual_weight=0"),
    }.items():
        cli = importlib.import_module(f"{recipe}.cli")
        options = cli.Options(
            config=CONFIGS[recipe], runs=tmp_path_factory.mktemp(recipe), set=(*FEW[recipe], *changes), resume=True
        )
        for command in cli.STAGES:
            cli.COMMANDS[command.name](options)
            if command.name == "encode":
                break
        runs[recipe] = options
    return runs


@pytest.mark.parametrize(
    ("recipe", "generator", "expected"),
    [
        ("glotok", "xar", "images"),
        ("glotok", "far", "images"),
        ("glotok", "masked", "images"),
        ("semtok", "xar", "generator xar: expected one of masked, far"),
        ("semtok", "far", "images"),
        ("semtok", "masked", "images"),
        ("vqgan", "xar", "images"),
        ("vqgan", "far", "images"),
        ("vqgan", "masked", "images"),
    ],
)
def test_every_pair(tokenizers, recipe, generator, expected):
    from dataclasses import replace

    cli = importlib.import_module(f"{recipe}.cli")
    options = replace(tokenizers[recipe], generator=generator)
    with nullcontext() if expected == "images" else pytest.raises(ConfigError, match=expected):
        cli.COMMANDS["train-generator"](options)
        cli.COMMANDS["sample"](options)
    samples = cli.RunPaths(options.runs / "tiny").samples(generator)
    assert samples.exists() == (expected == "images")
    if samples.exists():
        stored = load_samples(samples)
        assert stored["images"].shape == (6, 1, 16, 16)
        assert stored["images"].dtype == torch.uint8
        assert stored["labels"].tolist() == [0, 1, 3, 5, 7, 9]  # six images spread over ten classes
