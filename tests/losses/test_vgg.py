"""The VGG16 stages, against torchvision's network with the same weights."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.losses import VGG16Features

SUBJECT = "vistok.losses.vgg"


@pytest.fixture(scope="module")
def reference(torchvision_imports):
    """The layers before the classifier, with random weights."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    return make_layers(cfgs["D"])


@catches(SUBJECT, "if ends:", "if len(ends) > 1:")
@catches(SUBJECT, "ends.append(len(layers))", "ends.append(len(layers) - 1)")
def test_a_released_state_dict_loads_and_gives_the_five_published_activations(reference):
    model = VGG16Features()
    model.load_state_dict({f"features.{name}": value for name, value in reference.state_dict().items()})
    images = normal(0, 1, 3, 32, 32)
    with torch.no_grad():
        for got, end in zip(model(images), (4, 9, 16, 23, 30), strict=True):  # relu1_2, relu2_2, relu3_3, ...
            assert isinstance(reference[end - 1], torch.nn.ReLU)
            assert torch.equal(got, reference[:end](images))


@catches(SUBJECT, "(512, 512, 512), (512, 512, 512)", "(512, 512, 512), (512, 512)")
def test_the_network_has_the_published_shapes():
    """Configuration D: thirteen convolutions, of 64 to 512 channels, each stage half as wide as the one before."""
    with torch.device("meta"):
        model = VGG16Features()
        maps = model(torch.zeros(2, 3, 48, 32))
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.features) == 13
    assert sum(parameter.numel() for parameter in model.parameters()) == 14_714_688
    assert [tuple(map.shape) for map in maps] == [
        (2, channels, 48 // 2**stage, 32 // 2**stage) for stage, channels in enumerate((64, 128, 256, 512, 512))
    ]


def test_features_are_never_negative_and_gradients_reach_images_and_weights():
    model, images = VGG16Features(), normal(0, 1, 3, 16, 16).requires_grad_()
    maps = model(images)
    assert all((map >= 0).all() for map in maps)
    sum(map.sum() for map in maps).backward()
    assert images.grad.any()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 15, 16), (1, 1, 16, 16), (3, 16, 16)])
def test_images_that_are_too_small_or_have_no_three_colours_are_named(shape):
    with pytest.raises(ValueError, match=">= 16"):
        VGG16Features()(torch.zeros(shape))
