"""LPIPS against its formula, and against the reference package on the same random weights."""

import pytest
import torch
from hypothesis import given
from torch import Tensor

from _support.float64 import close
from _support.mutants import catches
from _support.pretended_cuda import OnCuda
from _support.stages import Stages
from _support.strategies import normal, tensors
from vistok.losses import LPIPS, VGG16Features, lpips_distance, lpips_heads

SUBJECT = "vistok.losses.lpips"


def stage64(a: Tensor, b: Tensor, head: Tensor) -> Tensor:
    a, b = (x.double() / (x.double().square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
    return ((a - b) ** 2 * head.double().view(1, -1, 1, 1)).sum(1).mean(dim=(1, 2))


@catches(SUBJECT, "_SHIFT = (-0.030, -0.088, -0.188)", "_SHIFT = (0.030, -0.088, -0.188)")
@catches(SUBJECT, "stage_distance(widen(a), widen(b), widen(head))", "stage_distance(widen(a), widen(b))")
@catches(SUBJECT, "* (2.0 / (high - low)) - 1.0", "* (2.0 / (high - low))")
def test_the_distance_is_the_published_formula():
    network, heads = Stages(), [torch.rand(6, generator=torch.Generator().manual_seed(0)), torch.ones(4)]
    x, y = normal(0, 2, 3, 8, 8).clamp(-1, 1), normal(1, 2, 3, 8, 8).clamp(-1, 1)
    module = LPIPS(network, heads)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    a, b = network((x - shift) / scale), network((y - shift) / scale)
    wanted = sum(stage64(p, q, head) for p, q, head in zip(a, b, heads, strict=True))
    assert close(module.distances(x, y), wanted)
    assert close(module(x, y), wanted.mean())
    assert close(module(y, x), wanted.mean())
    assert module(x, x).item() == 0.0
    half = LPIPS(network, heads, value_range=(0.0, 1.0))
    assert close(half((x + 1) / 2, (y + 1) / 2), wanted.mean())


@catches(SUBJECT, "torch.stack(terms).sum(dim=0)", "torch.stack(terms).mean(dim=0)")
def test_by_hand():
    """Directions (0.6, 0.8) and (1, 0), channels weighed 1 and 2, twice."""
    a, b = torch.tensor([[[[3.0]], [[4.0]]]]), torch.tensor([[[[1.0]], [[0.0]]]])
    heads = [torch.tensor([1.0, 2.0])]
    assert abs(lpips_distance([a], [b], heads).item() - (0.4**2 + 2 * 0.8**2)) < 1e-6
    assert abs(lpips_distance([a, a], [b, b], heads * 2).item() - 2 * (0.4**2 + 2 * 0.8**2)) < 1e-6


@catches(SUBJECT, "with torch.no_grad():", "with torch.enable_grad():")
@catches(SUBJECT, "FrozenNetwork(network)", "network")
@catches(SUBJECT, "requires_grad=False) for head", "requires_grad=True) for head")
def test_only_the_reconstruction_gets_a_gradient():
    module = LPIPS(Stages(), [torch.ones(6), torch.ones(4)]).train()
    image, target = (normal(seed, 2, 3, 8, 8).clamp(-1, 1).requires_grad_() for seed in (0, 1))
    module(image, target).backward()
    assert image.grad.any()
    assert target.grad is None
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.network.network.training


@catches(SUBJECT, "head.detach() for head in self.heads", "head for head in self.heads")
def test_nothing_of_it_learns_where_a_parent_lets_its_parameters_learn():
    module = LPIPS(Stages(), [torch.ones(6), torch.ones(4)]).requires_grad_(True)
    image, target = (normal(seed, 2, 3, 8, 8).clamp(-1, 1).requires_grad_() for seed in (0, 1))
    module(image, target).backward()
    assert image.grad.any()
    assert all(parameter.grad is None for parameter in module.parameters())


@given(tensors((2, 3, 2, 2)), tensors((2, 3, 2, 2)), tensors((3,)))
def test_from_zero_to_four_times_the_heads_and_the_same_both_ways(a, b, head):
    distance = lpips_distance([a], [b], [head.abs()])
    assert (distance >= 0).all()
    assert (distance <= 4 * head.abs().sum() + 1e-4).all()
    assert torch.equal(distance, lpips_distance([b], [a], [head.abs()]))


@pytest.fixture(scope="module", params=["vgg", "alex"])
def reference(request, torchvision_imports):
    """The package's network with random weights; nothing is downloaded."""
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    network = lpips.LPIPS(net=request.param, pretrained=False, pnet_rand=True, verbose=False).eval()
    for parameter in network.lins.parameters():
        parameter.data.uniform_(0, 1)
    return network


def ours_from(reference):
    slices = [layer for stage in range(1, 6) for layer in getattr(reference.net, f"slice{stage}").named_children()]
    weights = {f"features.{i}.{k}": v for i, layer in slices for k, v in layer.state_dict().items()}
    network = {"vgg": "vgg16", "alex": "alexnet"}[reference.pnet_type]
    return LPIPS.from_weights(weights, reference.state_dict(), network=network)


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


@catches(SUBJECT, 'f"lin{len(heads)}.model.1.weight"', 'f"lin{len(heads) + 1}.model.1.weight"')
def test_the_released_head_file_is_read_in_stage_order():
    state = {f"lin{i}.model.1.weight": torch.full((1, i + 1, 1, 1), float(i)) for i in range(12)}
    heads = lpips_heads(state)
    assert [tuple(head.shape) for head in heads] == [(i + 1,) for i in range(12)]
    assert [head[0].item() for head in heads] == list(range(12))
    with pytest.raises(ValueError, match=r"lin0\.model"):
        lpips_heads({"lin1.model.1.weight": torch.ones(1)})


def test_it_is_made_of_the_weights_of_files_together_or_apart_and_of_no_others():
    torch.manual_seed(0)
    network = VGG16Features()
    vgg16 = {**network.state_dict(), "classifier.0.bias": torch.zeros(3)}
    widths = (64, 128, 256, 512, 512)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(widths)}
    x, y = (normal(seed, 1, 3, 16, 16).clamp(-1, 1) for seed in (0, 1))
    expected = LPIPS(network, lpips_heads(heads))(x, y)
    assert torch.equal(LPIPS.from_weights(vgg16, heads)(x, y), expected)
    assert torch.equal(LPIPS.from_weights(vgg16 | heads)(x, y), expected)
    with pytest.raises(ValueError, match=r"expected VGG16, got no features\.0\.weight of \(64, 3, 3, 3\)"):
        LPIPS.from_weights({**vgg16, "features.0.weight": torch.zeros(64, 1, 3, 3)}, heads)
    with pytest.raises(ValueError, match="must hold lin0"):
        LPIPS.from_weights(vgg16)
    with pytest.raises(ValueError, match=r"expected heads of \[64, 128, 256, 512, 512\] channels, got \[3\]"):
        LPIPS.from_weights(vgg16, {"lin0.model.1.weight": torch.ones(1, 3, 1, 1)})
    with pytest.raises(ValueError, match=r"expected AlexNet, got no features\.0\.weight of \(64, 3, 11, 11\)"):
        LPIPS.from_weights(vgg16, heads, network="alexnet")
    with pytest.raises(ValueError, match="network must be one of vgg16, alexnet, got 'vgg'"):
        LPIPS.from_weights(vgg16, heads, network="vgg")


@catches(SUBJECT, "lowest < low - slack", "lowest < low - 1000 * slack")
def test_a_target_outside_the_value_range_is_named():
    module = LPIPS(Stages(), [torch.ones(6), torch.ones(4)], value_range=(0.0, 1.0))
    inside, outside = torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), -1.0)
    with pytest.raises(ValueError, match="value_range"):
        module(inside, outside)
    assert torch.isfinite(module(outside, inside))


@catches(SUBJECT, "torch.compiler.is_compiling() or target.is_cuda", "torch.compiler.is_compiling()")
@catches(SUBJECT, "_assert_async(~outside", "_assert_async(outside")
def test_on_cuda_the_device_looks_at_the_target(monkeypatch):
    """Nothing waits for it: what it would assert is what the CPU raises for."""
    asserted = []
    monkeypatch.setattr(torch, "_assert_async", lambda condition, message: asserted.append((condition, message)))
    module = LPIPS(Stages(), [torch.ones(6), torch.ones(4)], value_range=(0.0, 1.0))
    for value, fine in ((0.5, True), (-1.0, False), (1.5, False)):
        module(torch.rand(1, 3, 8, 8), torch.full((1, 3, 8, 8), value).as_subclass(OnCuda))
        condition, message = asserted.pop()
        assert torch.equal(condition.as_subclass(torch.Tensor), torch.tensor(fine))
        assert message == "target must lie in value_range (0.0, 1.0)"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LPIPS(Stages(), [torch.ones(6)])(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)), "heads"),
        (lambda: LPIPS(Stages(), [-torch.ones(6)]), r"heads\[0\] must be finite and >= 0, got values from -1 to -1"),
        (lambda: LPIPS(Stages(), [torch.full((6,), float("nan"))]), "heads"),
        (lambda: LPIPS(Stages(), [torch.ones(6)], value_range=(1.0, 1.0)), "value_range"),
        (lambda: LPIPS(Stages(), [torch.ones(6)] * 2)(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)), "3, H, W"),
        (lambda: lpips_distance([torch.ones(1, 2, 3, 3)], [torch.ones(1, 2, 3, 3)], [torch.ones(3)]), r"heads\[0\]"),
    ],
)
def test_wrong_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
