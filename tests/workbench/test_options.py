"""The options of every command: what they ask for, and how they are repeated."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import tyro

from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError, load_config
from vistok.workbench.data import STREAMING_LIMIT, SourceDescription
from vistok.workbench.options import RunOptions
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.run.folder import mark_run, save_config

SUBJECT = "vistok.workbench.options"


@dataclass(frozen=True)
class Options(RunOptions):
    """What every command takes."""

    loud: bool = False
    """Whether to shout."""


KEYS = {"name": ["name"], "seed": ["seed"], "data": ["data.source"], "image_size": ["data.image_size"]}


SIZES = {"image_size": ["data.image_size", "network.side"], "image_channels": ["network.channels"]}


@catches(SUBJECT, "if value is not None for key in dotted", "if value for key in dotted")
@catches(SUBJECT, "None if self.data in (None, DIGITS) else 3", "None if self.data is None else 3")
def test_options_become_values_without_those_that_were_not_given():
    assert RunOptions().overrides(KEYS | SIZES) == {}
    options = RunOptions(name="mine", seed=0, data="photos", image_size=64, set=("steps=3",))
    assert options.overrides(KEYS | SIZES) == {
        "name": "mine",
        "seed": 0,
        "data.source": "photos",
        "network.channels": 3,
        "data.image_size": 64,
        "network.side": 64,
    }
    assert RunOptions(data="digits").overrides(KEYS | SIZES) == {"data.source": "digits"}
    assert RunOptions(data="openmoji").overrides(KEYS | SIZES) == {"data.source": "openmoji", "network.channels": 3}


class Named(Config):
    name: str = "unnamed"
    seed: int = 0
    data: DataConfig = DataConfig()


AWKWARD = ["p #1", "2024", "yes", "~", "1e5", "null", "[a]", "{a: b}", "2024-01-01", "a: b", "'", "&x", "!x", " p "]


@pytest.mark.parametrize("text", AWKWARD)
def test_an_option_by_name_is_what_was_typed(text, tmp_path):
    """And stays that through the run's own configuration file."""
    (tmp_path / "c.yaml").write_text("name: shipped\n")
    options = tyro.cli(Options, args=["--data", text, "--name", text, "--seed", "7"])
    config = load_config(Named, tmp_path / "c.yaml", values=options.overrides(KEYS))
    assert (config.data.source, config.name, config.seed) == (text, text, 7)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(Named, tmp_path / "saved.yaml") == config


def test_set_has_the_last_word_and_is_yaml(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    options = Options(name="mine", seed=2, set=("name=other", "data={image_size: 64}"))
    config = load_config(Named, tmp_path / "c.yaml", options.set, values=options.overrides(KEYS))
    assert config == Named(name="other", seed=2, data=DataConfig(image_size=64))


def test_a_recipes_options_are_parsed_after_the_shared_ones():
    arguments = ["--set", "a=1", "--set", "b=2", "--loud", "--runs", "here", "--resume"]
    options = tyro.cli(Options, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
    assert options == Options(set=("a=1", "b=2"), loud=True, runs=Path("here"), resume=True)


@catches(SUBJECT, "self.data is None and self.name is not None and is_run", "self.name is not None and is_run")
def test_the_configuration_of_a_run_that_is_named_is_found(tmp_path):
    assert RunOptions(runs=tmp_path).config_or_default("small") == "small"
    assert RunOptions(runs=tmp_path, data="photos").config_or_default("small") == "auto"
    assert RunOptions(runs=tmp_path, name="run").config_or_default("small") == "small"
    mark_run(tmp_path / "run", "toy")
    assert RunOptions(runs=tmp_path, name="run").config_or_default("small") == str(tmp_path / "run" / "config.yaml")
    assert RunOptions(runs=tmp_path, name="run", config="large").config_or_default("small") == "large"
    assert RunOptions(runs=tmp_path, name="run", data="photos").config_or_default("small") == "auto"


@catches(SUBJECT, 'field.name in ("skip", "resume", "fresh", "quiet", "json")', 'field.name == "resume"')
@catches(SUBJECT, "for item in value if isinstance(value, tuple) else (value,)", "for item in (value,)")
def test_the_options_that_were_given_are_repeated_as_they_would_be_typed():
    @dataclass(frozen=True)
    class Loud(RunOptions):
        loud: bool = False

    options = Loud(name="my run", data="p #1", set=("a=1", "b=2"), resume=True, loud=True)
    assert options.hint() == "--name 'my run' --data 'p #1' --set a=1 --set b=2 --loud"
    assert tyro.cli(Loud, args=["--loud"], config=(tyro.conf.FlagCreatePairsOff,)).hint() == "--loud"
    assert RunOptions(fresh=True).hint() == ""
    assert RunOptions(skip=("encode", "sample")).hint() == ""


def test_a_configuration_for_images_needs_images():
    with pytest.raises(ConfigError, match="config auto: expected --data"):
        RunOptions(config="auto").describe_images()


@pytest.mark.parametrize(
    ("side", "asked", "cuda", "size"),
    [
        (50, None, False, 32),
        (20, None, False, 16),
        (5, None, False, 8),
        (500, None, False, 32),
        (500, None, True, 256),
        (500, 48, False, 48),
    ],
)
def test_the_size_is_a_power_of_two_that_images_have_and_a_device_can_train(monkeypatch, side, asked, cuda, size):
    found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=side)
    monkeypatch.setattr("vistok.workbench.options.describe_source", lambda source, streaming_limit: found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert RunOptions(data="photos", image_size=asked).describe_images() == (found, size)


@catches(SUBJECT, "STREAMING_LIMIT if streaming else None", "None")
def test_a_stream_is_described_as_one(monkeypatch):
    asked = []
    found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=32)
    monkeypatch.setattr(
        "vistok.workbench.options.describe_source",
        lambda source, streaming_limit: asked.append(streaming_limit) or found,
    )
    for changes in ((), ("train.steps=1", "data.streaming=true")):
        RunOptions(data="org/name", set=changes).describe_images()
    assert asked == [None, STREAMING_LIMIT]


@catches(SUBJECT, "2 ** (images.image_size.bit_length() - 1)", "2 ** images.image_size.bit_length()")
def test_images_are_never_enlarged_to_the_size_that_is_chosen(monkeypatch):
    for side in range(8, 33):
        found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=side)
        monkeypatch.setattr("vistok.workbench.options.describe_source", lambda *_, found=found, **__: found)
        assert RunOptions(data="photos").describe_images()[1] <= side
