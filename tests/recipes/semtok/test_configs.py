"""Every shipped configuration goes through the real parser and its networks build on the meta device."""

import re

import pytest
import torch

from _support.semtok_runs import TINY, tiny
from semtok.cli import Options, resolve
from semtok.config import CONFIGS, load
from semtok.generator import build_generator
from semtok.model import SemTok
from vistok.workbench.config import Config, ConfigError

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
# Millions of parameters that a comparison of the paper's rivals states: tokenizer without refiner, generators.
REPORTED = {"imagenet256": (2350, {"xl": 746, "xxl": 1200})}


def millions(*modules: torch.nn.Module) -> float:
    return sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6


def test_the_demo_the_drawings_and_the_papers_size_are_here():
    assert set(SHIPPED) >= {"digits", "emoji64", "openmoji32", *REPORTED}


@pytest.mark.parametrize("name", SHIPPED)
def test_it_parses_and_builds_and_is_as_large_as_reported(name):
    config = load(name)
    with torch.device("meta"):
        tokenizer = SemTok(config.tokenizer, refiner=config.refiner.input)
        generators = {name: build_generator(config, name, 1000) for name in config.generators}
    assert tokenizer.refiner.kind == config.refiner.input
    assert {generator.length for generator in generators.values()} == {config.tokenizer.num_tokens}
    if name in REPORTED:
        assert config.tokenizer.num_tokens == 256
        parts = (tokenizer.encoder, tokenizer.decoder, tokenizer.quantizer)
        assert millions(*parts) == pytest.approx(REPORTED[name][0], rel=0.06)
        counted = {name: millions(generator) for name, generator in generators.items()}
        assert counted == pytest.approx(REPORTED[name][1], rel=0.06)


@pytest.mark.parametrize("name", sorted(REPORTED))
def test_every_setting_says_where_it_is_from(name):
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    settings = [line for line in lines if re.match(r"\s*\w+:\s*[^\s#&]", line)]
    assert len(settings) > 60
    assert [line for line in settings if not re.search(r"#.*\[(paper|secondary|ours)\]", line)] == []


@pytest.mark.parametrize("name", sorted(REPORTED))
def test_nothing_of_the_published_setting_is_left_to_a_default(name):
    """What a file does not say would carry no mark."""
    import yaml

    left = list(unsaid(load(name), yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())))
    assert left == []


def unsaid(config, written, key=""):
    """The settings of a section, and of all within it, that a file leaves to their defaults; but for the switches."""
    for name, section in config.items() if isinstance(config, dict) else config:
        if isinstance(config, Config) and name in config.switches:
            continue
        if name not in written:
            yield f"{key}{name}"
        elif isinstance(section, Config | dict):
            yield from unsaid(section, written[name], f"{key}{name}.")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.image_size=24", "expected data.image_size = 24, got 16"),
        ("tokenizer.patch_size=5", "expected a multiple of the stride 5, got 16"),
        ("tokenizer.encoder_width=20", "encoder_width: expected a multiple of 4 times 2 heads, got 20"),
        ("tokenizer.decoder_width=12", "decoder_width: expected a multiple of 4 times 2 heads, got 12"),
        ("tokenizer.image_channels=3", "expected patches of at most decoder_width = 16 values, got 4 x 4 x 3"),
        ("tokenizer.bits=63", "tokenizer.bits"),
        ("generators.masked.num_groups=4", "expected a divisor of tokenizer.bits = 6, got 4"),
        ("losses.suffix_dropout=0.95", "expected at most 1 together with condition_dropout, got 0.1 [+] 0.95"),
        ("sampler.guidance_low=0.6", "guidance_low: expected at most guidance_high = 0.505, got 0.6"),
        ("losses.time_shift=0", "losses.time_shift"),
        ("generators.far.samples.default.num_tokens=5", "expected at most tokenizer.num_tokens = 4, got 5"),
        ("losses.time_shift_final=0", "losses.time_shift_final"),
        ("sampler.jump_at=1", "sampler.jump_at"),
        ("tokenizer.prediction=score", "tokenizer.prediction"),
        ("refiner.input=zeros", "refiner.input"),
        ("train.ema_decay=1", "train.ema_decay"),
        ("tokenizer.space_stride=2", r"tokenizer: space_stride: expected 1 without a space, got 2"),
        ("losses.condition_dropout=0", r"sampler\.guidance: expected 1 with losses\.condition_dropout 0, .*, got 1\.5"),
        (
            "generators.far.label_dropout=0",
            r"far\.samples\.default\.guidance: expected 1 with generators\.far\.label_dropout 0, .*, got 1\.5",
        ),
        (
            "reconstruct.stage_one_steps=[]",
            r"reconstruct\.stage_one_steps: tuple should have at least 1 item .*, got \[\]",
        ),
        (
            "generators.masked.samples.default.progress_steps=[]",
            r"masked\.samples\.default\.progress_steps: tuple should have at least 1 item .*, got \[\]",
        ),
        ("data.random_crop=true", r"alignment\.cache: expected false with data\.random_crop"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        tiny(override)
    assert "\n" not in str(caught.value)


def test_without_guidance_nothing_need_be_hidden_in_training():
    assert tiny("losses.condition_dropout=0", "sampler.guidance=1").losses.condition_dropout == 0
    changes = ("generators.far.label_dropout=0", "generators.far.samples.default.guidance=1")
    assert tiny(*changes).generators["far"].label_dropout == 0


def test_groups_of_more_bits_than_a_softmax_can_have_are_refused():
    with pytest.raises(ConfigError, match="expected groups of at most 20 bits, got 42 bits in 2"):
        tiny("tokenizer.bits=42")
    assert tiny("tokenizer.bits=40").tokenizer.bits == 40


def test_other_data_is_colour_unless_told_otherwise():
    assert resolve(Options(config=TINY, data="photos", set=("tokenizer.patch_size=2",))).tokenizer.image_channels == 3
    assert resolve(Options()).tokenizer.image_channels == 1
    grey = Options(config="digits", data="photos", set=("tokenizer.image_channels=1",))
    assert resolve(grey).tokenizer.image_channels == 1
    config = resolve(Options(image_size=64, seed=3, name="mine"))
    assert (config.data.image_size, config.tokenizer.image_size, config.seed, config.name) == (64, 64, 3, "mine")
