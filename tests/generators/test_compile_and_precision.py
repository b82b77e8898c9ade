"""The generators compile as one graph, and run in bfloat16 with losses in float32."""

import copy

import pytest
import torch

from _support.small_generators import LABELS, far_tokens, masked_tokens, small_far, small_masked, small_xar
from vistok.generators import XAR, MaskedSampling


def cases():
    yield "xar", small_xar(), torch.randn(3, 3, 4, 8), {"num_steps": 2}
    large_cells = XAR(3, 8, 4, 5, width=32, depth=2, num_heads=2).eval()
    yield "xar without a mask", large_cells, torch.randn(3, 3, 8, 8), {"num_steps": 2}
    far = small_far()
    yield "far", far, far_tokens(far), {}
    masked = small_masked()
    yield "masked", masked, masked_tokens(masked), {"num_steps": 3}


def sampled_cases():
    yield from cases()
    model = small_masked(positions="rotary")
    settings = {"num_steps": 3, "settings": MaskedSampling(refresh_every=2)}
    yield "masked, keys and values kept", model, masked_tokens(model), settings


CASES = [pytest.param(*rest, id=name) for name, *rest in cases()]
SAMPLED = [pytest.param(*rest, id=name) for name, *rest in sampled_cases()]


@pytest.mark.parametrize(("model", "data", "settings"), CASES)
def test_the_loss_compiles_as_one_graph(model, data, settings):
    torch._dynamo.reset()
    torch.manual_seed(0)
    loss = torch.compile(model.loss, fullgraph=True, backend="aot_eager")(data, LABELS)
    loss.backward()
    torch.manual_seed(0)
    torch.testing.assert_close(loss, model.loss(data, LABELS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("model", "data", "settings"), SAMPLED)
def test_autocast_changes_the_loss_little_and_keeps_it_float32(model, data, settings):
    full = model.loss(data, LABELS, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.loss(data, LABELS, generator=torch.Generator().manual_seed(0))
        out = model.sample(LABELS, guidance=2.0, **settings)
    assert half.dtype == torch.float32
    assert abs(half.item() / full.item() - 1) < 0.05
    assert out.isfinite().all()
    half.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("model", "data", "settings"), SAMPLED)
def test_weights_in_bfloat16_train_and_sample(model, data, settings):
    small = copy.deepcopy(model).bfloat16()
    loss = small.loss(data, LABELS)
    loss.backward()
    assert loss.dtype == torch.float32
    assert small.sample(LABELS, guidance=2.0, **settings).isfinite().all()


@pytest.mark.parametrize(("model", "data", "settings"), CASES)
def test_every_parameter_is_trained(model, data, settings):
    model.zero_grad()
    model.loss(data, LABELS, generator=torch.Generator().manual_seed(3)).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("model", "data", "settings"), SAMPLED)
def test_shapes_of_loss_and_samples_are_known_on_the_meta_device(model, data, settings):
    empty = copy.deepcopy(model).to("meta")
    with torch.device("meta"):
        loss = empty.loss(data.to("meta"), LABELS.to("meta"), generator=torch.Generator("cpu"))
        loss.backward()
        out = empty.sample(LABELS.to("meta"), guidance=2.0, generator=torch.Generator("cpu"), **settings)
    assert loss.is_meta
    assert (loss.shape, out.shape) == ((), data.shape)
