"""LPIPS against the reference package, on the same random weights."""

import pytest
import torch

from _support.strategies import normal
from _support.term_checks import Stages
from vistok.losses import LPIPS, VGG16Features, lpips_distance, lpips_heads


@pytest.fixture(scope="module")
def reference(torchvision_imports):
    """The package's network with random weights; nothing is downloaded."""
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False).eval()
    for parameter in network.lins.parameters():
        parameter.data.uniform_(0, 1)
    return network


def ours_from(reference):
    network = VGG16Features()
    slices = [layer for stage in range(1, 6) for layer in getattr(reference.net, f"slice{stage}").named_children()]
    weights = {f"features.{i}.{k}": v for i, layer in slices for k, v in layer.state_dict().items()}
    network.load_state_dict(weights)
    return LPIPS(network, lpips_heads(reference.state_dict()))


def test_the_distance_is_that_of_the_reference_package(reference):
    ours = ours_from(reference)
    for seed, side in ((0, 32), (2, 48)):
        x, y = normal(seed, 2, 3, side, side).clamp(-1, 1), normal(seed + 1, 2, 3, side, side).clamp(-1, 1)
        with torch.no_grad():
            wanted = reference(x, y).flatten()
            got = ours.distances(x, y)
        assert wanted.min() > 1e-6
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=0)


def test_the_gradient_is_that_of_the_reference_package(reference):
    ours = ours_from(reference)
    x, y = (0.3 * normal(0, 1, 3, 32, 32)).clamp(-1, 1), (0.3 * normal(1, 1, 3, 32, 32)).clamp(-1, 1)
    gradients = []
    for network in (ours, reference):
        image = x.clone().requires_grad_()
        network(image, y).mean().backward()
        gradients.append(image.grad)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


def test_the_released_head_file_is_read_in_stage_order():
    state = {f"lin{i}.model.1.weight": torch.full((1, i + 1, 1, 1), float(i)) for i in range(12)}
    heads = lpips_heads(state)
    assert [tuple(head.shape) for head in heads] == [(i + 1,) for i in range(12)]
    assert [head[0].item() for head in heads] == list(range(12))
    with pytest.raises(ValueError, match=r"lin0\.model"):
        lpips_heads({"lin1.model.1.weight": torch.ones(1)})


def test_a_target_outside_the_value_range_is_named():
    module = LPIPS(Stages(), [torch.ones(6), torch.ones(4)], value_range=(0.0, 1.0))
    inside, outside = torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), -1.0)
    with pytest.raises(ValueError, match="value_range"):
        module(inside, outside)
    assert torch.isfinite(module(outside, inside))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LPIPS(Stages(), [torch.ones(6)])(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)), "heads"),
        (lambda: LPIPS(Stages(), [-torch.ones(6)]), "heads"),
        (lambda: LPIPS(Stages(), [torch.full((6,), float("nan"))]), "heads"),
        (lambda: LPIPS(Stages(), [torch.ones(6)], value_range=(1.0, 1.0)), "value_range"),
        (lambda: LPIPS(Stages(), [torch.ones(6)] * 2)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)), "3, H, W"),
        (lambda: lpips_distance([torch.ones(1, 2, 3, 3)], [torch.ones(1, 2, 3, 3)], [torch.ones(3)]), r"heads\[0\]"),
        (lambda: VGG16Features()(torch.zeros(1, 3, 15, 16)), ">= 16"),
    ],
)
def test_wrong_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
