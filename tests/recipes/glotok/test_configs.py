"""Every shipped configuration goes through the real parser and its networks build on the meta device."""

import re

import pytest
import torch

from glotok.cli import Options, resolve
from glotok.config import CONFIGS, load
from glotok.generator import build_generator
from glotok.model import GloTok
from glotok.networks import build_head
from vistok import generators as g
from vistok.workbench.config import ConfigError

HEADING = re.compile(r"[^:]+:( &\w+)?")  # of a section, perhaps with a name to repeat it by
SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
# Millions of parameters: convolutional autoencoder without adapters (with one branch's way to the codes), generator.
XAR = {"xar-b": 172.6, "xar-h": 1186}
PUBLISHED = {
    "imagenet256_16k": (72, {**XAR, "far-b": 383.6, "far-l": 859.3}),
    "imagenet256_2x": (72, {**XAR, "far-b": 417, "far-l": 901}),
    "imagenet256_fqgan": (72, {"far-b": 417, "far-l": 901}),
}
OF_THE_PAPER = ["imagenet256_16k", "imagenet256_2x"]


def millions(*modules: torch.nn.Module) -> float:
    return sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6


def test_all_five_are_here():
    assert {path.stem for path in SHIPPED} == {"digits", "emoji64", "openmoji32", *PUBLISHED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_parses_and_builds(path):
    config = load(path.stem)
    with torch.device("meta"):
        tokenizer = GloTok(config.tokenizer)
        generators = {name: build_generator(config, name, 1000) for name in config.generators}
    assert tokenizer.quantizer.semantic.codebook_size == config.tokenizer.semantic_codebook_size
    if path.stem in PUBLISHED:
        head = tokenizer.visual_adapter
        parts = (tokenizer.encoder, tokenizer.decoder, tokenizer.post_quantization, head.norm, head.conv, head.to_code)
        assert millions(*parts) == pytest.approx(PUBLISHED[path.stem][0], rel=0.01)
        counted = {name: millions(generator) for name, generator in generators.items()}
        assert counted == pytest.approx(PUBLISHED[path.stem][1], rel=0.01)


PRESETS = {
    "xar-b": lambda books: g.xar_base(16),
    "xar-h": lambda books: g.xar_huge(16),
    "far-b": lambda books: g.far_base(books),
    "far-l": lambda books: g.far_large(books),
}


@pytest.mark.parametrize("generator", PRESETS)
@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_papers_generators_are_the_published_networks(name, generator):
    """Tensor by tensor, and in what shapes do not tell: so a published checkpoint could be loaded into them."""
    config = load(name)
    books = (config.tokenizer.visual_codebook_size, config.tokenizer.semantic_codebook_size)
    with torch.device("meta"):
        ours, theirs = build_generator(config, generator, 1000), PRESETS[generator](books)
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert ours.options == theirs.options
    heads = [{m.num_heads for m in model.modules() if hasattr(m, "num_heads")} for model in (ours, theirs)]
    assert len(heads[0]) == 1
    assert heads[0] == heads[1]
    assert list(config.generators) == list(PRESETS)


def test_the_papers_training_of_far_is_fqgans():
    config = load("imagenet256_2x")
    for name in ("far-b", "far-l"):
        train = config.generators[name].train
        assert (train.learning_rate, train.batch_size) == (1e-4, 256)
        assert train.steps == pytest.approx(200 * 1_281_167 / 256, rel=1e-3)
        assert config.generators[name].prefix_rotation == "zero"


@pytest.mark.parametrize(("name", "sizes"), [("imagenet256_16k", (4096, 12288)), ("imagenet256_2x", (16384, 16384))])
def test_the_papers_numbers_are_the_papers(name, sizes):
    config = load(name)
    assert (config.tokenizer.semantic_codebook_size, config.tokenizer.visual_codebook_size) == sizes
    assert (config.tokenizer.code_dim, config.tokenizer.grid_size) == (8, 16)
    assert (config.losses.residual_weight, config.losses.histogram_weight, config.losses.histogram_bins) == (
        0.5,
        0.01,
        40,
    )
    assert (config.train.learning_rate, config.train.betas, config.train.batch_size) == (2e-4, (0.9, 0.95), 240)
    assert config.train.steps == pytest.approx(150 * 1_281_167 / 240, rel=1e-3)


def test_the_baselines_numbers_are_fqgans():
    config = load("imagenet256_fqgan")
    sizes, losses, head = config.tokenizer, config.losses, config.representation
    assert (sizes.semantic_codebook_size, sizes.visual_codebook_size, sizes.code_dim) == (16384, 16384, 8)
    assert (losses.alignment, sizes.residual, losses.residual_weight) == ("contrastive", False, 0)
    assert (losses.representation_weight, losses.disentanglement_weight, losses.entropy_weight) == (0.5, 0.1, 0.03)
    assert (head.width, head.depth, head.num_heads, head.temperature) == (1024, 3, 8, 1.0)
    assert (config.teacher.backbone, config.teacher.image_size) == ("vit_large_patch14_clip_224.openai", 224)
    assert config.train.steps == pytest.approx(40 * 1_281_167 / 256, rel=1e-3)
    with torch.device("meta"):
        predicted = build_head(config, 1024)(torch.empty(2, 8, 16, 16))
    assert predicted.shape == (2, 1024)
    assert config.generators["far-b"].train.steps == pytest.approx(300 * 1_281_167 / 256, rel=1e-3)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_setting_says_whether_the_paper_states_it(name):
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    values = [line for line in lines if line.startswith("  ") and not line.lstrip().startswith("#")]
    marks = ("[paper]", "[authors' code]", "[ours]")
    unmarked = [line for line in values if not any(mark in line for mark in marks) and not HEADING.fullmatch(line)]
    assert unmarked == ["  image_channels: 3"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.image_size=64", "expected data.image_size = 64, got 32"),
        ("generators.xar.cell_size=3", "expected a divisor of the token grid 8, got 3"),
        ("tokenizer.multipliers=[1,1,1,1,1,1,1]", "expected a multiple of the stride 64, got 32"),
        ("teacher.source=checkpoint", "needs both checkpoint and key"),
        ("teacher.source=random teacher.centre=true", "centre: expected source backbone, .* got random"),
        ("teacher.dimension=8", "dimension: expected source random, .* got backbone"),
        (
            "losses.alignment=contrastive teacher.source=random",
            "teacher.source: expected backbone, which contrastive alignment looks at, got random",
        ),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        load("digits", override.split())


def test_other_data_is_colour_unless_told_otherwise():
    assert resolve(Options(config="digits", data="photos")).tokenizer.image_channels == 3
    assert resolve(Options()).tokenizer.image_channels == 1
    grey = Options(config="digits", data="photos", set=("tokenizer.image_channels=1",))
    assert resolve(grey).tokenizer.image_channels == 1
    config = resolve(Options(image_size=64, seed=3, name="mine"))
    assert (config.data.image_size, config.tokenizer.image_size, config.seed, config.name) == (64, 64, 3, "mine")
