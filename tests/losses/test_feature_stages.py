"""Stages of a network in one pass: each map is what the layers up to its end give."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.strategies import normal
from vistok.losses._feature_stages import feature_stages

SUBJECT = "vistok.losses._feature_stages"


@catches(SUBJECT, "start = end", "start = 0")
@catches(SUBJECT, "layers[start:end](x)", "layers[start:end](images)")
def test_each_map_is_what_the_layers_up_to_its_end_give():
    layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU())
    images = normal(0, 2, 3, 9, 7)
    maps = feature_stages(layers, (2, 4), images, 7)
    assert all(torch.equal(map, layers[:end](images)) for map, end in zip(maps, (2, 4), strict=True))


@catches(SUBJECT, "min(images.shape[2:]) < smallest", "min(images.shape[2:]) <= smallest")
@catches(SUBJECT, "min(images.shape[2:]) < smallest", "min(images.shape[2:]) < smallest - 1")
@catches(SUBJECT, "or images.shape[1] != 3 ", "")
def test_images_of_another_shape_are_named():
    identity = nn.Sequential(nn.Identity())
    assert feature_stages(identity, (1,), torch.zeros(1, 3, 5, 5), 5)[0].shape == (1, 3, 5, 5)
    for shape in ((1, 3, 4, 5), (1, 3, 5, 4), (1, 1, 5, 5), (3, 5, 5)):
        with pytest.raises(ValueError, match=r"images must have shape .* sides >= 5, got"):
            feature_stages(identity, (1,), torch.zeros(shape), 5)
    with pytest.raises(TypeError, match="images must be a floating point tensor"):
        feature_stages(identity, (1,), torch.zeros(1, 3, 5, 5, dtype=torch.uint8), 5)
