"""A configuration that is made for the images that come fits them, whatever their size and number."""

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glotok.auto
import semtok.auto
import vqgan.auto
from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.data import SourceDescription
from vistok.workbench.options import RunOptions


def made(recipe, images, image_size):
    auto, config = (importlib.import_module(f"{recipe}.{name}") for name in ("auto", "config"))
    return config.load(auto.BASE, values=auto.auto_values(images, image_size))


DESCRIPTIONS = st.builds(
    SourceDescription, st.just(3), st.integers(20, 100_000), st.integers(1, 1000), st.integers(8, 4000)
)


@pytest.mark.parametrize("recipe", ["glotok", "semtok", "vqgan"])
@settings(max_examples=25)
@given(images=DESCRIPTIONS, image_size=st.sampled_from([16, 24, 32, 48, 60, 64, 96, 128, 160, 256]))
def test_any_images_get_a_configuration(recipe, images, image_size):
    config = made(recipe, images, image_size)
    assert config.data.image_size == config.tokenizer.image_size == image_size
    assert config.tokenizer.image_channels == images.channels


@pytest.mark.parametrize("recipe", ["glotok", "semtok", "vqgan"])
@pytest.mark.parametrize("image_size", [32, 48, 64, 128])
def test_its_networks_fit_together(recipe, image_size):
    networks = importlib.import_module(f"{recipe}.networks")
    networks.check_networks(made(recipe, SourceDescription(3, 500, 9, 300), image_size))


@catches("glotok.auto", "1 if image_size < _TWO_LAYERS else 2", "2")
@catches("glotok.auto", "_TWO_LAYERS = 12", "_TWO_LAYERS = 13")
@catches("semtok.auto", "1 if image_size < _TWO_LAYERS else 2", "2")
@catches("semtok.auto", "_TWO_LAYERS = 12", "_TWO_LAYERS = 13")
@catches("vqgan.auto", "1 if image_size < _TWO_LAYERS else 2", "2")
@catches("vqgan.auto", "_TWO_LAYERS = 12", "_TWO_LAYERS = 13")
def test_the_smallest_images_have_a_discriminator_that_takes_them():
    """The least side that one takes doubles with its layers."""
    for recipe in ("glotok", "semtok", "vqgan"):
        configs = {side: made(recipe, SourceDescription(3, 500, 9, 8), side) for side in (8, 12)}
        importlib.import_module(f"{recipe}.networks").check_networks(configs[8])
        assert {side: config.discriminator.num_layers for side, config in configs.items()} == {8: 1, 12: 2}


@catches("semtok.auto", "range(least, largest + 1)", "range(least, 100)")
@catches("semtok.auto", "and image_size > size", "")
@catches("vistok.workbench.sides", "least = max(1, wanted // 2)", "least = 1")
@catches("vistok.workbench.sides", "near >= smallest_grid and", "")
def test_a_side_that_no_grid_of_a_good_size_divides_is_told_with_the_nearest_that_one_does():
    images = SourceDescription(3, 500, 9, 300)
    for recipe, side, expected in [
        (semtok.auto, 3, "a side that patches of 4 to 6 pixels divide, the nearest is 8"),
        (semtok.auto, 5, "a side that patches of 4 to 6 pixels divide, the nearest is 8"),
        (semtok.auto, 94, "a side that patches of 6 to 9 pixels divide, the nearest is 96"),
        (semtok.auto, 97, "a side that patches of 7 to 10 pixels divide, the nearest is 96"),
        (semtok.auto, 127, "a side that patches of 8 to 12 pixels divide, the nearest is 126"),
        *((recipe, 97, "a multiple of 4, the nearest is 96") for recipe in (glotok.auto, vqgan.auto)),
        *((recipe, 250, "a multiple of 8, the nearest is 248") for recipe in (glotok.auto, vqgan.auto)),
        *((recipe, 3, "at least 8 pixels, the nearest is 8") for recipe in (glotok.auto, vqgan.auto)),
    ]:
        with pytest.raises(ConfigError, match=rf"^image_size: expected {expected}, got {side}$"):
            recipe.auto_values(images, side)
    assert [semtok.auto.auto_values(images, side)["tokenizer.patch_size"] for side in (98, 512, 1024)] == [7, 32, 64]
    for recipe in (glotok.auto, vqgan.auto):
        halvings = [len(recipe.auto_values(images, side)["tokenizer.multipliers"]) - 1 for side in (9, 100, 512, 1024)]
        assert halvings == [0, 2, 4, 4]


@given(images=DESCRIPTIONS, image_size=st.sampled_from([32, 64, 128]))
def test_the_teacher_has_enough_vectors_for_its_centres(images, image_size):
    config = made("glotok", images, image_size)
    assert config.teacher.num_images <= images.num_images
    vectors = config.teacher.num_images * config.teacher.pool_grid**2
    assert config.tokenizer.semantic_codebook_size * 4 <= vectors
    assert 8 <= config.tokenizer.grid_size < 16


@pytest.mark.parametrize("recipe", ["glotok", "semtok"])
def test_the_drawings_that_come_by_name_are_trained_small_without_a_gpu(recipe, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = made(recipe, *RunOptions(data="openmoji").describe_images())
    assert (config.data.image_size, config.tokenizer.image_channels) == (32, 3)
    if recipe == "glotok":
        assert (config.teacher.num_images, config.tokenizer.semantic_codebook_size) == (1000, 1024)
        assert config.tokenizer.grid_size == 8
