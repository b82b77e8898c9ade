"""Normalisation and swish in blocks of images: float64's values and gradients, whatever the number of images."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad

from _support.mutants import catches
from vistok.tokenizers import _normalisation
from vistok.tokenizers._normalisation import normalised, normalised_swish

SUBJECT = "vistok.tokenizers._normalisation"


def case(images, channels, side, groups, seed=0):
    """A norm with gains and offsets, channels-last bfloat16 images away from mean 0, and a gradient of the output."""
    rng = torch.Generator().manual_seed(seed)
    norm = nn.GroupNorm(groups, channels, eps=1e-6)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(channels, generator=rng) + 0.5)
        norm.bias.copy_(torch.randn(channels, generator=rng))
    x = (2 * torch.randn(images, channels, side, side, generator=rng) + 1).bfloat16()
    outer = torch.randn(x.shape, generator=rng).bfloat16()
    return norm, x.contiguous(memory_format=torch.channels_last), outer


def with_gradients(function, norm, x, outer):
    x = x.detach().requires_grad_()
    out = function(x, norm)
    return out, *torch.autograd.grad(out, (x, norm.weight, norm.bias), outer.to(out.dtype))


def in_float64(function, norm, x, outer):
    wide = nn.GroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps).double()
    wide.load_state_dict(norm.state_dict())
    return with_gradients(function, wide, x.double(), outer)


@catches(SUBJECT, "F.silu(normalised, inplace=True)", "normalised")
@catches(SUBJECT, "to_weight += inner_to_weight", "to_weight = inner_to_weight")
@catches(SUBJECT, "mean[:, :, None] * scale)", "mean[:, :, None])")
@catches(SUBJECT, "gradient.contiguous(memory_format=torch.channels_last)", "gradient.contiguous()")
@catches(SUBJECT, "for tensor in (x, *others)", "for tensor in (x[:1], *(o[:1] for o in others))")
def test_values_and_gradients_are_those_of_float64(monkeypatch):
    monkeypatch.setattr(_normalisation, "_FEWEST_ELEMENTS", 1)
    monkeypatch.setattr(_normalisation, "_BLOCK_ELEMENTS", 2 * 12 * 5 * 5)  # two images a block, the last one alone
    for images in (1, 3, 5):
        given_case = case(images, 12, 5, 3)
        found = with_gradients(normalised_swish, *given_case)
        for value, expected in zip(found, in_float64(lambda x, norm: F.silu(norm(x)), *given_case), strict=True):
            torch.testing.assert_close(value.double(), expected, rtol=1e-2, atol=1e-2)


@given(
    st.integers(1, 4),
    st.sampled_from([(8, 2), (6, 6), (5, 1)]),
    st.integers(2, 6),
    st.integers(0, 99),
    st.sampled_from([1, 2**17]),
)
def test_in_blocks_and_at_once_it_rounds_less_than_bfloat16_does(images, shape, side, seed, fewest):
    given_case = case(images, shape[0], side, shape[1], seed)
    exact = in_float64(lambda x, norm: F.silu(norm(x)), *given_case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_normalisation, "_FEWEST_ELEMENTS", fewest)
        found = with_gradients(normalised_swish, *given_case)
    assert found[0].dtype == torch.bfloat16
    for value, expected in zip(found, exact, strict=True):
        scale = expected.abs().max().clamp_min(1.0)
        assert (value.double() - expected).abs().max() <= 2**-7 * scale


@catches(SUBJECT, "x.float(), groups, weight", "x.float(), 1, weight")
@catches(
    SUBJECT, "norm.num_groups, norm.eps).to(x.dtype)\n    return norm", "norm.num_groups, norm.eps)\n    return norm"
)
def test_without_swish_bfloat16_images_are_normalised_in_float32():
    norm, x, outer = case(2, 8, 4, 2)
    found = with_gradients(normalised, norm, x, outer)
    assert found[0].dtype == torch.bfloat16
    for value, expected in zip(found, in_float64(lambda x, norm: norm(x), norm, x, outer), strict=True):
        torch.testing.assert_close(value.double(), expected, rtol=1e-2, atol=1e-2)


def test_what_is_not_bfloat16_on_a_cpu_takes_the_module_as_it_is():
    norm, x, _ = case(2, 8, 4, 2)
    assert torch.equal(normalised(x.float(), norm), norm(x.float()))
    assert torch.equal(normalised_swish(x.float(), norm), F.silu(norm(x.float())))


@catches(SUBJECT, "ctx.save_for_backward(x, weight, bias,", "ctx.save_for_backward(x.float(), weight, bias,")
@catches(SUBJECT, "_FEWEST_ELEMENTS <= x.shape[1:].numel()", "_FEWEST_ELEMENTS < x.shape[1:].numel()")
def test_only_the_input_of_larger_images_is_kept_for_the_backward_pass():
    norm, x, _ = case(2, 8, 128, 2)
    x = x.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        normalised_swish(x, norm)
    large = [tensor for tensor in kept if tensor.numel() >= x.numel()]
    assert len(large) == 1
    assert large[0].data_ptr() == x.data_ptr()


@catches(SUBJECT, "<= x.shape[1:].numel() <=", "<= x[0].numel() <=")
@catches(SUBJECT, "// x.shape[1:].numel())", "// x[0].numel())")
def test_an_empty_batch_gives_an_empty_batch():
    norm, x, outer = case(0, 8, 128, 2)
    out, *gradients = with_gradients(normalised_swish, norm, x, outer)
    assert out.shape == gradients[0].shape == (0, 8, 128, 128)
    assert not any(gradient.any() for gradient in gradients[1:])


def test_a_step_of_gradients_is_the_same_bits_again():
    given_case = case(2, 8, 128, 2)
    first, second = (with_gradients(normalised_swish, *given_case) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@catches(SUBJECT, "if torch.is_grad_enabled():", "if False:")
def test_the_gradient_of_blocks_can_be_differentiated_again(monkeypatch):
    norm, x, outer = case(3, 8, 4, 2)
    found = []
    for fewest in (1, 2**17):
        monkeypatch.setattr(_normalisation, "_FEWEST_ELEMENTS", fewest)
        given = x.detach().requires_grad_()
        (first,) = torch.autograd.grad(normalised_swish(given, norm), given, outer, create_graph=True)
        found.append(torch.autograd.grad(first.float().square().sum(), (given, norm.weight, norm.bias)))
    for value, expected in zip(*found, strict=True):
        torch.testing.assert_close(value, expected)


@catches(SUBJECT, "strict=True) if needed]", "strict=True)]")
@pytest.mark.parametrize("learning", [(0,), (1,), (1, 2)])
def test_it_can_be_differentiated_again_by_what_alone_needs_it(learning, monkeypatch):
    norm, x, outer = case(3, 8, 4, 2)
    found = []
    for fewest in (1, 2**17):
        monkeypatch.setattr(_normalisation, "_FEWEST_ELEMENTS", fewest)
        inputs = (x.detach(), norm.weight, norm.bias)
        for place, part in enumerate(inputs):
            part.requires_grad_(place in learning)
        learns, outer_of = [inputs[place] for place in learning], outer.detach().requires_grad_()
        first = torch.autograd.grad(normalised_swish(inputs[0], norm), learns, outer_of, create_graph=True)
        again = sum(part.float().square().sum() for part in first)
        found.append(torch.autograd.grad(again, (outer_of, *learns)))
    for value, expected in zip(*found, strict=True):
        torch.testing.assert_close(value, expected)


def of_any_layout(images, channels, dtype):
    for layout in (torch.contiguous_format, torch.channels_last):
        norm, x, tangent = case(images, channels, 4, min(2, channels))
        yield norm, x.to(dtype).contiguous(memory_format=layout), tangent.to(dtype)


@catches(SUBJECT, "channels_last = not transformed and x", "channels_last = x")
@catches(SUBJECT, "x = x.contiguous() if transformed else x", "pass")
@catches(SUBJECT, "x = x.contiguous() if _is_transformed(x) else x", "pass")
@catches(SUBJECT, " or forward_ad.unpack_dual(x).tangent is not None", "")
def test_forward_derivatives_are_those_of_float64(monkeypatch):
    monkeypatch.setattr(_normalisation, "_FEWEST_ELEMENTS", 1)
    functions = ((normalised, lambda x, norm: norm(x)), (normalised_swish, lambda x, norm: F.silu(norm(x))))
    for channels, dtype in ((8, torch.float32), (8, torch.bfloat16), (1, torch.bfloat16)):
        for norm, x, tangent in of_any_layout(2, channels, dtype):
            wide = nn.GroupNorm(norm.num_groups, channels, eps=norm.eps).double()
            wide.load_state_dict(norm.state_dict())
            for ours, plain in functions:
                pair = (x.double().contiguous(), tangent.double())
                expected = torch.func.jvp(lambda x, f=plain, n=wide: f(x, n), pair[:1], pair[1:])
                found = torch.func.jvp(lambda x, f=ours, n=norm: f(x, n), (x,), (tangent,))
                with forward_ad.dual_level():
                    dual = forward_ad.unpack_dual(ours(forward_ad.make_dual(x, tangent), norm))
                for value, derivative in (found, dual):
                    assert value.dtype == derivative.dtype == dtype
                    near = 2e-2 if dtype == torch.bfloat16 else 1e-5
                    torch.testing.assert_close((value.double(), derivative.double()), expected, atol=near, rtol=near)


@catches(SUBJECT, "torch._C._are_functorch_transforms_active() or ", "")
def test_it_stands_in_every_transform_whether_it_is_transformed_itself_or_not(monkeypatch):
    monkeypatch.setattr(_normalisation, "_FEWEST_ELEMENTS", 1)
    norm, x, outer = case(2, 8, 4, 2)
    norm.requires_grad_(False)
    function, one = (lambda x: normalised_swish(x, norm).float()), torch.ones(())
    plain = function(x)
    torch.testing.assert_close(torch.func.vmap(function)(x[:, None])[:, 0], plain)
    torch.testing.assert_close(torch.func.jvp(lambda s: s * function(x), (one,), (one,)), (plain, plain))
    torch.testing.assert_close(torch.func.grad(lambda s: (s * function(x)).sum())(one), plain.sum())
    by_transform = torch.func.grad(lambda x: (function(x) * outer).sum())(x)
    given = x.detach().requires_grad_()
    (by_backward,) = torch.autograd.grad((function(given) * outer).sum(), given)
    torch.testing.assert_close(by_transform, by_backward, atol=1e-2, rtol=1e-2)
