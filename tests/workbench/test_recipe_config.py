"""Sections that recipes share, and how a shipped configuration is found."""

import pytest
import torch

from _support.image_files import png, write_parquet, write_table
from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.recipe_config import (
    DataConfig,
    EvaluateConfig,
    PerceptualConfig,
    choose,
    find_config,
    load_recipe,
)

SUBJECT = "vistok.workbench.recipe_config"


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


@catches(SUBJECT, "if name not in shipped:", "if not shipped:")
def test_an_unknown_name_lists_the_shipped_ones(folder):
    with pytest.raises(ConfigError, match=r"config 'smal': expected a \.yaml file or one of large, small$"):
        find_config("smal", folder)


def test_overrides_win_and_the_last_one_does(folder):
    config = load_recipe(Recipe, folder, "small", ("data.image_size=24", "data.image_size=48"))
    assert config.data.image_size == 48


def test_the_data_section_loads_what_it_says():
    train, validation = DataConfig(source="digits", image_size=16).load()
    assert (train.image_size, validation.image_size, train.channels) == (16, 16, 1)


@catches(SUBJECT, "max_pixels=self.max_pixels,", "")
@catches(SUBJECT, "label_column=self.label_column,\n            validation", "validation")
def test_the_data_section_decides_columns_split_and_limits(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    contents = [png((n, 0, 0)) for n in range(40)] + [png(0, size=(30, 30))]
    source = write_table(tmp_path / "one.parquet", contents, {"label": [0] * 41, "year": [n % 2 for n in range(41)]})
    config = DataConfig(
        source=str(source), image_size=8, label_column="year", validation_fraction=0.5, max_pixels=64, max_unreadable=1
    )
    train, validation = config.load()
    assert train.class_names == ("0", "1")
    assert 10 < len(validation) < 30
    assert len(train.skipped + validation.skipped) == 1
    assert config.describe().num_classes == 2
    with pytest.raises(ValueError, match="validation_fraction"):
        DataConfig(validation_fraction=0.0)


@catches(SUBJECT, "return int(self.image_size", "return round(self.image_size")
def test_ten_crop_encodes_parts_of_centre_crops_that_are_so_much_larger():
    config = DataConfig(image_size=16, horizontal_flip=True, ten_crop=1.1, random_crop=True)
    images = config.load_to_encode()
    assert (images.image_size, images.uncropped) == (17, None)
    assert torch.equal(images.images, DataConfig(image_size=17).load().train.images)
    views = [view(images.batch([0])) for view in config.token_variants.values()]
    assert [tuple(view.shape) for view in views] == [(1, 1, 16, 16)] * 10
    assert DataConfig(image_size=256, horizontal_flip=True, ten_crop=1.1).larger == 281  # as in LlamaGen's caches
    plain = DataConfig(image_size=16)
    assert plain.load_to_encode().image_size == 16
    assert [len(c.token_variants) for c in (plain, DataConfig(horizontal_flip=True))] == [1, 2]


@catches(SUBJECT, "if self.ten_crop and not self.horizontal_flip:", "if self.ten_crop and self.horizontal_flip:")
@catches(SUBJECT, "if not 0 < least <= largest <= 1", "if not 0 < largest <= 1")
def test_crops_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="ten_crop: expected horizontal_flip=true"):
        DataConfig(ten_crop=1.1)
    with pytest.raises(ValueError, match=r"crop_scale: expected 0 < least <= largest <= 1, got 0\.5 and 0\.4"):
        DataConfig(horizontal_flip=True, ten_crop=1.1, crop_scale=(0.5, 0.4))


@catches(SUBJECT, "train.labels.numpy().tobytes() +", "")
@catches(SUBJECT, "+ validation.labels.numpy().tobytes()", "")
@catches(SUBJECT, "list(train.class_names), splits.checksum, labels", "list(train.class_names), '', labels")
def test_an_inventory_tells_images_from_others_by_number_name_and_label_on_both_sides(tmp_path):
    contents = [png((n, 0, 0)) for n in range(8)]
    found = []
    for train, validation in [("aabb", "ab"), ("abab", "ab"), ("aabb", "ba"), ("aabb", "abb")]:
        folder = tmp_path / str(len(found))
        for side, labels in (("train", train), ("validation", validation)):
            write_parquet(folder / f"{side}.parquet", list(zip(contents, labels, strict=False)))
        found.append(DataConfig(source=str(folder), image_size=8).inventory())
    assert found[0].images == found[1].images == found[2].images != found[3].images
    assert len({each.labels for each in found}) == 4
    assert [(each.train, each.validation, each.classes) for each in found[2:]] == [
        (4, 2, ["a", "b"]),
        (4, 3, ["a", "b"]),
    ]


@catches(SUBJECT, "if found != channels:", "if found > channels:")
def test_channels_that_the_images_do_not_have_are_told_with_their_setting(tmp_path):
    folder = tmp_path / "images"
    write_parquet(folder / "train.parquet", [(png((n, 0, 0)), "a") for n in range(8)])
    DataConfig(source=str(folder), image_size=8).check_channels(3)
    DataConfig().check_channels(1)
    for data, found, wrong in ((DataConfig(source=str(folder), image_size=8), 3, 1), (DataConfig(), 1, 3)):
        said = f"^tokenizer.image_channels: expected {found}, as the images have, got {wrong}$"
        with pytest.raises(ConfigError, match=said):
            data.check_channels(wrong)


def test_lpips_needs_the_weights_of_its_network():
    assert PerceptualConfig(perceptual="lpips", perceptual_weights="vgg16.pth").perceptual_heads is None
    with pytest.raises(ValueError, match="perceptual_weights: expected a file with the weights of LPIPS's VGG16, got"):
        PerceptualConfig(perceptual="lpips")


@catches(SUBJECT, "next(iter(section))", "next(reversed(section))")
def test_the_first_entry_is_meant_where_none_is_named_and_an_unknown_one_lists_all():
    section = {"small": 1, "large": 2}
    assert choose(section, None, what="generator") == "small"
    assert choose(section, "large", what="generator") == "large"
    with pytest.raises(ConfigError, match=r"^generator 'larg': expected one of small, large$"):
        choose(section, "larg", what="generator")


def test_a_recipe_adds_to_a_section_in_a_subclass(folder):
    class Finer(EvaluateConfig):
        repeats: int = 3

    assert list(Finer.model_fields) == [*EvaluateConfig.model_fields, "repeats"]
    with pytest.raises(ConfigError, match=r"unknown key evaluate\.repeats"):
        load_recipe(Recipe, folder, "small", ("evaluate.repeats=2",))
