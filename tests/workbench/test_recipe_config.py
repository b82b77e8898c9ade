"""Sections that recipes share, and how a shipped configuration is found."""

import pytest

from vistok.workbench.config import Config, ConfigError
from vistok.workbench.recipe_config import DataConfig, EvaluateConfig, find_config, load_recipe


class Recipe(Config):
    name: str = "unnamed"
    data: DataConfig = DataConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.yaml").write_text("name: small\ndata: {image_size: 16}\n")
    (tmp_path / "large.yaml").write_text("name: large\n")
    (tmp_path / "notes.txt").write_text("no configuration\n")
    return tmp_path


def test_a_shipped_configuration_is_found_by_its_name(folder):
    assert find_config("small", folder) == folder / "small.yaml"
    assert load_recipe(Recipe, folder, "small").data.image_size == 16


def test_a_file_is_read_from_where_it_is(folder, tmp_path_factory):
    mine = tmp_path_factory.mktemp("mine") / "small.yml"
    mine.write_text("name: mine\n")
    assert load_recipe(Recipe, folder, str(mine)).name == "mine"


def test_an_unknown_name_lists_the_shipped_ones(folder):
    with pytest.raises(ConfigError, match=r"config 'smal': expected a \.yaml file or one of large, small$"):
        find_config("smal", folder)


def test_overrides_win_and_the_last_one_does(folder):
    config = load_recipe(Recipe, folder, "small", ("data.image_size=24", "data.image_size=48"))
    assert config.data.image_size == 48


def test_the_data_section_loads_what_it_says():
    train, validation = DataConfig(source="digits", image_size=16).load()
    assert (train.image_size, validation.image_size, train.channels) == (16, 16, 1)


def test_a_recipe_adds_to_a_section_in_a_subclass(folder):
    class Finer(EvaluateConfig):
        repeats: int = 3

    assert list(Finer.model_fields) == [*EvaluateConfig.model_fields, "repeats"]
    with pytest.raises(ConfigError, match=r"unknown key evaluate\.repeats"):
        load_recipe(Recipe, folder, "small", ("evaluate.repeats=2",))
