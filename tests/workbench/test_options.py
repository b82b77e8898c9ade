"""The options of every command: what they ask for, and how they are repeated."""

import logging
from dataclasses import dataclass
from pathlib import Path

import datasets
import pytest
import torch
import tyro

from _support.image_files import png
from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError, load_config
from vistok.workbench.data import SourceDescription
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
    monkeypatch.setattr(DataConfig, "describe", lambda config: found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert RunOptions(data="photos", image_size=asked).describe_images() == (found, size)


@catches(SUBJECT, "apply_overrides(tree, self.set)", "pass")
@catches(
    SUBJECT, 'for key, value in tree["data"].items() if key in _DESCRIBED', 'for key, value in tree["data"].items()'
)
def test_images_are_described_as_the_settings_say_of_them(monkeypatch):
    asked = []
    found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=32)
    monkeypatch.setattr(DataConfig, "describe", lambda config: asked.append(config) or found)
    for changes in (
        (),
        ("train.steps=1", "data.streaming= True", "data.streaming_gb=5"),
        ("data.image_column=a", "data.image_column=b", "data.label_column=none", "data.ten_crop=1.1"),
        ("data={source: other, streaming: yes}",),
    ):
        RunOptions(data="org/name", set=changes).describe_images()
    assert asked == [
        DataConfig(source="org/name"),
        DataConfig(source="org/name", streaming=True, streaming_gb=5),
        DataConfig(source="org/name", image_column="b", label_column="none"),
        DataConfig(source="other", streaming=True),
    ]
    for change, said in {
        "data.streaming=maybe": "data.streaming: ",
        "data=5": "data: ",
        "data.streaming": "key=",
    }.items():
        with pytest.raises(ConfigError, match=said):
            RunOptions(data="org/name", set=(change,)).describe_images()


def test_a_column_that_is_named_is_that_of_a_configuration_for_images(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    blobs = {"a_blob": [png((n, 0, 0)) for n in range(6)], "b_blob": [b"none"] * 6, "kind": ["x", "y"] * 3}
    datasets.Dataset.from_dict(blobs).to_parquet(str(tmp_path / "t.parquet"))
    table = RunOptions(data=str(tmp_path / "t.parquet"), set=("data.image_column=a_blob", "data.label_column=kind"))
    assert table.describe_images()[0] == SourceDescription(3, 6, 2, 8)


@catches(SUBJECT, "@functools.cache", "")
def test_images_are_described_in_one_line_before_all_stages_of_a_demo(monkeypatch, caplog):
    described = [SourceDescription(channels=3, num_images=count, num_classes=2, image_size=32) for count in (7, 7, 8)]
    monkeypatch.setattr(DataConfig, "describe", lambda config: described.pop())
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            RunOptions(data="photos", image_size=5).describe_images()
    line = "config auto: %d images in 2 classes, 3 channels, typically 32 px; trained at 5 px"
    assert caplog.messages == [line % 8, line % 7]


@catches(SUBJECT, "if size is None:", "if not size:")
def test_a_side_of_nothing_is_no_default(monkeypatch):
    found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=32)
    monkeypatch.setattr(DataConfig, "describe", lambda config: found)
    assert RunOptions(data="photos", image_size=0).describe_images()[1] == 0


@catches(SUBJECT, "2 ** (images.image_size.bit_length() - 1)", "2 ** images.image_size.bit_length()")
def test_images_are_never_enlarged_to_the_size_that_is_chosen(monkeypatch):
    for side in range(8, 33):
        found = SourceDescription(channels=3, num_images=10, num_classes=2, image_size=side)
        monkeypatch.setattr(DataConfig, "describe", lambda _, found=found: found)
        assert RunOptions(data="photos").describe_images()[1] <= side
