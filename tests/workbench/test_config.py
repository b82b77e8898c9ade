"""Configuration errors are one line with the key and the nearest valid name."""

import pytest
from pydantic import Field

from vistok.workbench.config import Config, ConfigError, load_config, save_config


class Inner(Config):
    learning_rate: float = Field(1e-3, gt=0)
    steps: int = 10
    betas: tuple[float, float] = (0.9, 0.95)


class Outer(Config):
    name: str = "run"
    train: Inner = Inner()
    extra: Inner | None = None


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_numbers_that_yaml_reads_as_strings_are_numbers(tmp_path):
    assert load_config(Outer, write(tmp_path, "train: {learning_rate: 1e-4}")).train.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {learning_rat: 1}", "unknown key train.learning_rat; the nearest valid name is learning_rate"),
        ("nmae: x", "unknown key nmae; the nearest valid name is name"),
        ("extra: {stepz: 1}", "unknown key extra.stepz; the nearest valid name is steps"),
        ("train: {steps: many}", "train.steps: input should be a valid integer.*got 'many'"),
        ("train: {steps: 1.5}", "train.steps: input should be a valid integer.*got 1.5"),
        ("train: {learning_rate: -1}", "train.learning_rate: input should be greater than 0, got -1"),
        ("- a\n- b", "expected a mapping of keys to values, got list"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_bad_file_gives_one_line_with_the_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(Outer, write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "config.yaml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Outer, tmp_path / "nowhere.yaml")


def test_overrides_win_and_later_ones_win_over_earlier_ones(tmp_path):
    path = write(tmp_path, "train: {steps: 5}")
    config = load_config(Outer, path, ("train.steps=6", "train.steps=7", "name=other", "train.betas=[0.5, 0.6]"))
    assert (config.train.steps, config.name, config.train.betas) == (7, "other", (0.5, 0.6))


def test_values_come_before_overrides_and_are_taken_as_they_are(tmp_path):
    path = write(tmp_path, "train: {steps: 5}")
    config = load_config(Outer, path, ("train.steps=7",), values={"name": "yes", "train.steps": 6, "extra.steps": 8})
    assert config == Outer(name="yes", train=Inner(steps=7), extra=Inner(steps=8))


def test_a_section_that_two_keys_share_is_set_for_one(tmp_path):
    config = load_config(Outer, write(tmp_path, "train: &t {steps: 5}\nextra: *t"), ("train.steps=6",))
    assert (config.train.steps, config.extra.steps) == (6, 5)


@pytest.mark.parametrize("override", ["train.steps", "=3", "name.x=1"])
def test_a_malformed_override_is_named(tmp_path, override):
    with pytest.raises(ConfigError, match=f"override '{override}'"):
        load_config(Outer, write(tmp_path, "name: x"), (override,))


def test_a_saved_configuration_reads_back_equal(tmp_path):
    config = Outer(name="ä", train=Inner(steps=3))
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(Outer, tmp_path / "saved.yaml") == config
