"""Every shipped configuration goes through the real parser and its networks build on the meta device."""

import re

import pytest
import torch

from _support.mutants import catches
from _support.vqgan_runs import QUANTIZERS, TINY, tiny, with_quantizer
from vistok.workbench.config import ConfigError
from vqgan.cli import Options, resolve
from vqgan.config import CONFIGS, load
from vqgan.generator import build_generator
from vqgan.model import VQGAN
from vqgan.networks import check_networks

HEADING = re.compile(r"\s*[^:]+:( &\w+)?")  # of a section, perhaps with a name to repeat it by
SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
SUBJECT = "vqgan.config"


def test_all_are_here():
    assert {path.stem for path in SHIPPED} == {"digits", "emoji64", "openmoji32", "imagenet256_vq16"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_parses_and_builds(path):
    config = load(path.stem)
    with torch.device("meta"):
        tokenizer = VQGAN(config.tokenizer)
        for name in config.generators:
            build_generator(config, name, 1000)
    assert tokenizer.codebook_sizes == (config.tokenizer.quantizer.codebook_size,)


def test_the_large_one_is_llamagens_network_and_training():
    config = load("imagenet256_vq16")
    with torch.device("meta"):
        tokenizer = VQGAN(config.tokenizer)
    assert sum(p.numel() for p in tokenizer.parameters()) == 71_883_403
    assert (config.tokenizer.quantizer.codebook_size, config.tokenizer.quantizer.code_dim) == (16384, 8)
    assert config.train.steps == pytest.approx(40 * 1_281_167 / 128, rel=1e-3)
    assert (config.train.learning_rate, config.train.betas, config.train.batch_size) == (1e-4, (0.9, 0.95), 128)


def test_every_setting_of_the_large_one_says_where_it_is_from():
    lines = (CONFIGS / "imagenet256_vq16.yaml").read_text().splitlines()
    values = [line for line in lines if line.startswith("  ") and not line.lstrip().startswith("#")]
    marks = ("[paper]", "[authors' code]", "[ours]")
    assert not [line for line in values if not any(mark in line for mark in marks) and not HEADING.fullmatch(line)]


def test_the_digits_are_trained_as_long_as_glotoks():
    from glotok.config import load as load_glotok

    ours, theirs = load("digits"), load_glotok("digits")
    assert ours.train == ours.train.model_validate(theirs.train.model_dump())
    for name, generator in ours.generators.items():
        same = generator.model_dump()
        same.pop("num_groups", None)
        assert same == theirs.generators[name].model_dump()
    shared = set(type(ours.tokenizer).model_fields) & set(type(theirs.tokenizer).model_fields)
    assert all(getattr(ours.tokenizer, key) == getattr(theirs.tokenizer, key) for key in shared)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_networks_of_every_quantizer_fit_together(name):
    check_networks(tiny(with_quantizer(name)))


@catches(SUBJECT, "if groups and (not bits or bits % groups):", "if groups and not bits:")
@catches(
    SUBJECT, "isinstance(quantizer, FiniteScalarConfig | ResidualConfig)", "isinstance(quantizer, FiniteScalarConfig)"
)
@catches("vqgan.quantizer", "if math.prod(self.levels) > _LARGEST:", "if False:")
@catches("vqgan.quantizer", "if self.bits % self.num_groups:", "if False:")
@catches("vqgan.quantizer", "if 2 ** (self.bits // self.num_groups) > _LARGEST:", "if False:")
def test_settings_that_do_not_fit_each_other_are_refused():
    for overrides, message in (
        (("tokenizer.quantizer={kind: vq}",), "expected one of vector, projected, ibq, residual, fsq, lfq, bsq"),
        (("tokenizer.quantizer={bits: 4}",), r"tokenizer\.quantizer\.kind is missing"),
        (("tokenizer.quantizer={kind: bsq, codebook_size: 4}",), r"unknown key tokenizer\.quantizer\.codebook_size"),
        (("tokenizer.quantizer={kind: bsq, bits: 6, num_groups: 4}",), "expected a divisor of the 6 bits, got 4"),
        (("tokenizer.quantizer={kind: lfq, bits: 20}",), "groups of at most 18 bits, got 20"),
        (
            ("tokenizer.quantizer={kind: fsq, levels: [8, 8, 8, 8, 8, 8, 8]}",),
            "a product of at most 262,144, got 2,097,152",
        ),
        ((with_quantizer("residual"), "losses.entropy_weight=1"), "entropy_weight: expected 0 for residual, got 1"),
        ((with_quantizer("bsq"), "generators.masked.num_groups=4"), "expected a divisor of 6 bits, got 4"),
        (("generators.masked.num_groups=2",), "expected none for quantizer vector, got 2"),
        (("data.image_size=64",), "expected data.image_size = 64, got 16"),
        (("generators.xar.cell_size=3",), "expected a divisor of the token grid 8, got 3"),
        (("losses.chroma_weight=2",), "expected 0 for grey images, got 2"),
    ):
        with pytest.raises(ConfigError, match=message):
            load(TINY, overrides)


def test_another_quantizer_takes_one_option_and_other_data_is_colour():
    config = resolve(Options(config=TINY, data="photos", set=(with_quantizer("bsq"),)))
    assert config.tokenizer.quantizer.kind == "bsq"
    assert config.tokenizer.image_channels == 3
