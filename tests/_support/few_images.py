"""A data set of a few digits, for what would go over thousands otherwise."""

from contextlib import contextmanager

import pytest

from vistok.workbench.data import ImageSet, load_images
from vistok.workbench.data.loading import ImageSplits
from vistok.workbench.recipe_config import DataConfig


def few_images(monkeypatch, train=150, validation=30):
    """Let every configuration load so many images of the digits, of all classes; other sources are as they are."""
    load = DataConfig.load

    def few(config):
        if config.source != "digits":
            return load(config)
        splits = load_images("digits", image_size=config.image_size)
        return ImageSplits(*(_some(images, count) for images, count in zip(splits, (train, validation), strict=True)))

    monkeypatch.setattr(DataConfig, "load", few)


def _some(images, count):
    step = len(images) // count
    picked = slice(None, count * step, step)
    return ImageSet(images.images[picked], images.labels[picked], images.class_names, images.name)


@contextmanager
def few_images_for_a_while():
    """The same for the time of a block: in fixtures that many tests share."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        few_images(monkeypatch)
        yield
