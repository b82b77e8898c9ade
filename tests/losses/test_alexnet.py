"""The AlexNet stages, against torchvision's network with the same weights."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.losses import AlexNetFeatures

SUBJECT = "vistok.losses.alexnet"


@pytest.fixture(scope="module")
def reference(torchvision_imports):
    """The layers before the classifier, with random weights."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    return alexnet(weights=None).features.eval()


@catches(SUBJECT, "self.ends = (2, 5, 8, 10, 12)", "self.ends = (1, 5, 8, 10, 12)")
@catches(SUBJECT, "nn.MaxPool2d(3, 2), nn.Conv2d(64,", "nn.MaxPool2d(2, 2), nn.Conv2d(64,")
def test_a_released_state_dict_loads_and_gives_the_five_published_activations(reference):
    model = AlexNetFeatures()
    model.load_state_dict({f"features.{name}": value for name, value in reference.state_dict().items()})
    images = normal(0, 1, 3, 64, 48)
    with torch.no_grad():
        for got, end in zip(model(images), (2, 5, 8, 10, 12), strict=True):
            assert isinstance(reference[end - 1], torch.nn.ReLU)
            assert torch.equal(got, reference[:end](images))


def test_the_network_has_the_published_number_of_weights():
    with torch.device("meta"):
        model = AlexNetFeatures()
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_469_696
    assert tuple(layer.out_channels for layer in model.features if isinstance(layer, torch.nn.Conv2d)) == model.widths


def test_features_are_never_negative_and_gradients_reach_images_and_weights():
    model, images = AlexNetFeatures(), normal(0, 1, 3, 31, 40).requires_grad_()
    maps = model(images)
    assert all((map >= 0).all() for map in maps)
    sum(map.sum() for map in maps).backward()
    assert images.grad.any()
    assert all(parameter.grad is not None for parameter in model.parameters())


@catches(SUBJECT, "_SMALLEST = 31", "_SMALLEST = 30")
def test_images_that_are_too_small_or_have_no_three_colours_are_named():
    assert AlexNetFeatures()(torch.zeros(1, 3, 31, 31))[-1].shape == (1, 256, 1, 1)
    for shape in ((1, 3, 30, 31), (1, 1, 40, 40), (3, 40, 40)):
        with pytest.raises(ValueError, match=">= 31"):
            AlexNetFeatures()(torch.zeros(shape))
