"""What a configuration gets wrong is told in one line with its key, before the first stage touches anything."""

import importlib
import sys
import types

import pytest
import torch

from _support import glotok_runs, semtok_runs, vqgan_runs
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import choose_entries

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY, "vqgan": vqgan_runs.TINY}

VIT, DINO = "vit_tiny_patch16_224", "vit_small_patch14_dinov2.lvd142m"
NO_16, NO_14 = (
    f"image_size: expected a multiple of {size} for '{name}', got" for size, name in ((16, VIT), (14, DINO))
)

MISTAKES = [
    ("glotok", "generators.xar.depth=3", "generators.xar: depth must be even"),
    ("glotok", "generators.far.num_heads=3", "generators.far: need depth >= 1 and width a multiple of 4 * num_heads"),
    ("glotok", "generators.masked.num_heads=5", "generators.masked: need depth >= 1, width a multiple of 4"),
    ("glotok", "generators.xar.label_dropout=1", "generators.xar.label_dropout: "),
    ("glotok", "generators.xar.train.betas=[0.9, 1.0]", "generators.xar.train.betas.1: "),
    (
        "glotok",
        "generators.xar.kind=diffusion",
        "generators.xar.kind: expected one of xar, far, masked, got",
    ),
    ("glotok", "generators.far.attention=flash", "generators.far.attention: "),
    ("semtok", "generators.masked.attention=auto", "generators.masked.attention: "),
    ("glotok", "generators.new={width: 16}", "generators.new.kind is missing; expected one of xar, far, masked"),
    ("glotok", "generators.far.cell_size=4", "unknown key generators.far.cell_size; the nearest valid name is"),
    (
        "glotok",
        "generators.xar.samples.default.guidence=2",
        "xar.samples.default.guidence; the nearest valid name is guidance",
    ),
    ("glotok", "losses.perceptual_stages=6", "losses.perceptual_stages: expected 1 to 5 for lite0, got 6"),
    ("glotok", "losses.perceptual_backbone=resnet5", "losses.perceptual_backbone: "),
    ("glotok", "losses.histogram_weight=.inf", "losses.histogram_weight: "),
    ("glotok", "evaluations.default.backbone=dinov9", "evaluations.default.backbone: "),
    ("glotok", "discriminator.num_layers=6", "discriminator: images must have sides of at least 192, got 16x16"),
    ("glotok", "tokenizer.multipliers=[]", "tokenizer.multipliers: "),
    ("glotok", "tokenizer.multipliers=[1, 0]", "tokenizer.multipliers.1: "),
    ("glotok", "tokenizer.multipliers=[1, -2]", "tokenizer.multipliers.1: "),
    ("glotok", "tokenizer.adapter_heads=3", "tokenizer: "),
    ("glotok", "tokenizer.residual_heads=3", "tokenizer: "),
    ("glotok", "train.accumulation=3", "accumulation: expected a divisor of batch_size = 8, got 3"),
    ("semtok", "generators.masked.num_heads=3", "generators.masked: "),
    ("semtok", "generators.masked.kind=xar", "generators.masked.kind: expected one of masked, far, got 'xar'"),
    ("semtok", "generators.masked.widt=8", "unknown key generators.masked.widt; the nearest valid name is width"),
    (
        "semtok",
        "generators.masked.num_groups=4",
        "expected a divisor of tokenizer.bits = 6",
    ),
    ("semtok", "tokenizer.encoder_heads=3", "encoder_width: expected a multiple of 4 times 3 heads"),
    ("semtok", "losses.perceptual_stages=9", "losses.perceptual_stages: expected 1 to 5 for lite0, got 9"),
    ("semtok", "refiner.perceptual_stages=9", "refiner.perceptual_stages: expected 1 to 5 for lite0, got 9"),
    ("semtok", "alignment.backbone=dinov9", "alignment.backbone: "),
    ("semtok", "discriminator.num_layers=6", "discriminator: images must have sides of at least 192, got 16x16"),
    ("vqgan", "generators.xar.depth=3", "generators.xar: depth must be even"),
    ("vqgan", "generators.far.num_heads=3", "generators.far: need depth >= 1 and width a multiple of 4 * num_heads"),
    ("vqgan", "losses.perceptual_stages=6", "losses.perceptual_stages: expected 1 to 5 for lite0, got 6"),
    ("vqgan", "evaluations.default.backbone=dinov9", "evaluations.default.backbone: "),
    ("vqgan", "discriminator.num_layers=6", "discriminator: images must have sides of at least 192, got 16x16"),
    ("vqgan", "tokenizer.quantizer.kind=vq", "tokenizer.quantizer.kind: expected one of vector, projected, ibq,"),
    ("vqgan", "tokenizer.quantizer.codebook_sise=4", "the nearest valid name is codebook_size"),
    ("glotok", "tokenizer.image_channels=3", "tokenizer.image_channels: expected 1, as the images have, got 3"),
    ("vqgan", "tokenizer.image_channels=3", "tokenizer.image_channels: expected 1, as the images have, got 3"),
    ("semtok", "tokenizer.image_channels=3; tokenizer.patch_size=2", "tokenizer.image_channels: expected 1, as the"),
    *(
        (name, "generators.far.label_dropout=0", "generators.far.samples.default.guidance: expected 1")
        for name in CONFIGS
    ),
    *((name, f"losses.perceptual_backbone={DINO}", f"losses.perceptual_backbone: {NO_14}") for name in CONFIGS),
    *(
        (name, f"evaluations.default={{backbone: {VIT}, image_size: 40}}", f"evaluations.default.backbone: {NO_16}")
        for name in CONFIGS
    ),
    ("glotok", f"teacher.backbone={VIT}; teacher.image_size=40", f"teacher.backbone: {NO_16}"),
    ("semtok", f"alignment.backbone={VIT}; alignment.image_size=40", f"alignment.backbone: {NO_16}"),
    (
        "semtok",
        f"discriminator.kind=features; discriminator.backbone={DINO}",
        f"discriminator.backbone: {NO_14}",
    ),
    ("semtok", "train_refiner.accumulation=3", "accumulation: expected a divisor of batch_size = 8, got 3"),
]


@pytest.mark.parametrize(("recipe", "setting", "message"), MISTAKES, ids=[f"{r} {s}" for r, s, _ in MISTAKES])
def test_a_mistake_is_told_before_the_first_stage(recipe, setting, message, tmp_path):
    cli = importlib.import_module(f"{recipe}.cli")
    with pytest.raises(ConfigError) as caught:
        cli.COMMANDS["demo"](cli.Options(config=CONFIGS[recipe], runs=tmp_path, set=tuple(setting.split("; "))))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", CONFIGS)
def test_every_shipped_configuration_fits_together(recipe):
    config = importlib.import_module(f"{recipe}.config")
    networks = importlib.import_module(f"{recipe}.networks")
    for path in sorted(config.CONFIGS.glob("*.yaml")):
        networks.check_networks(config.load(path.stem))


KINDS = [(recipe, name) for recipe in ("glotok", "vqgan") for name in ("xar", "far", "masked")]
KINDS += [("semtok", "masked"), ("semtok", "far")]


@pytest.fixture
def importable(monkeypatch):
    """There is an xformers; nobody calls it."""
    package = types.ModuleType("xformers")
    package.ops = types.ModuleType("xformers.ops")
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", package.ops)


def named(recipe, kind):
    """The small configuration with xformers for one generator."""
    load = importlib.import_module(f"{recipe}.config").load
    return load(str(CONFIGS[recipe]), (f"generators.{kind}.attention=xformers",))


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_attention_that_cannot_be_imported_is_told_before_the_first_stage(recipe, kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xformers", None)
    cli = importlib.import_module(f"{recipe}.cli")
    setting = f"generators.{kind}.attention=xformers"
    with pytest.raises(ConfigError, match=f"^generators.{kind}: attention must be 'sdpa' where xformers cannot be"):
        cli.COMMANDS["demo"](cli.Options(config=CONFIGS[recipe], runs=tmp_path, set=(setting,)))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_attention_that_wants_cuda_is_told_where_there_is_none(recipe, kind, importable, monkeypatch):
    networks = importlib.import_module(f"{recipe}.networks")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"^generators.{kind}: attention must be 'sdpa' for tensors on cpu, got"):
        networks.check_networks(named(recipe, kind))


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_a_generator_gets_the_kernels_of_its_configuration(recipe, kind, importable):
    build = importlib.import_module(f"{recipe}.generator").build_generator
    with torch.device("meta"):
        assert build(named(recipe, kind), kind, 10).options.attention == "xformers"


@pytest.mark.parametrize(("recipe", "kind"), KINDS)
def test_a_trained_generator_may_go_on_with_other_kernels(recipe, kind, tmp_path):
    stages, cli = (importlib.import_module(f"{recipe}.{name}") for name in ("stages", "cli"))
    config = named(recipe, kind)
    listed = stages.stages(config, cli.RunPaths(tmp_path), choose_entries(config, kind, None, None))
    (training,) = (stage for stage in listed if stage.name == f"train-generator.{kind}")
    assert f"generators.{kind}.width" in training.settings
    assert not any("attention" in key for stage in listed for key in stage.settings)
