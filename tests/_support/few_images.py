"""A data set of a few digits, for what would go over thousands otherwise."""

from vistok.workbench.data import ImageSet, load_images
from vistok.workbench.data.loading import ImageSplits
from vistok.workbench.recipe_config import DataConfig


def few_images(monkeypatch, train=150, validation=30):
    """Let every configuration load so many images of the digits."""

    def load(config):
        splits = load_images("digits", image_size=config.image_size)
        return ImageSplits(
            *(
                ImageSet(images.images[:count], images.labels[:count], images.class_names, images.name)
                for images, count in zip(splits, (train, validation), strict=True)
            )
        )

    monkeypatch.setattr(DataConfig, "load", load)
