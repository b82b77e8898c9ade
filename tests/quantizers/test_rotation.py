"""The rotation trick: the value of the code, the gradient of the map that takes the feature there."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal
from vistok.quantizers import VectorQuantizer, rotation_trick

SUBJECT = "vistok.quantizers.rotation"


def pairs(seed, count=6, dim=5):
    return normal(seed, count, dim).double(), normal(seed + 1, count, dim).double()


def matrix(z, q):
    """``lambda R`` written down from the paper for one pair of vectors, in float64."""
    z_hat, q_hat = z / z.norm(), q / q.norm()
    r = (z_hat + q_hat) / (z_hat + q_hat).norm()
    turn = torch.eye(len(z), dtype=z.dtype) - 2 * torch.outer(r, r) + 2 * torch.outer(q_hat, z_hat)
    return turn * q.norm() / z.norm()


@given(st.integers(0, 10_000))
def test_the_independent_matrix_takes_the_feature_to_its_code_and_is_a_scaled_rotation(seed):
    for z, q in zip(*pairs(seed), strict=True):
        found = matrix(z, q)
        torch.testing.assert_close(found @ z, q)
        torch.testing.assert_close(found.mT @ found, torch.eye(5).double() * (q.norm() / z.norm()) ** 2)
        assert torch.linalg.det(found) > 0


@catches(SUBJECT, "- 2 * along_r * r + 2", "- along_r * r + 2")
@catches(SUBJECT, "+ 2 * along_z * q_hat", "+ 2 * along_z * z_hat")
@catches(SUBJECT, "scale * (features", "(features")
@catches(SUBJECT, "unit(features.detach())", "unit(features)")
@given(st.integers(0, 10_000))
def test_the_gradient_is_that_of_the_scaled_rotation_held_constant(seed):
    z, q = (x.float() for x in pairs(seed))
    g = normal(seed + 2, 6, 5)
    z.requires_grad_()
    rotation_trick(z, q, channel_dim=-1).backward(g)
    expected = [matrix(a.double(), b.double()).mT @ c.double() for a, b, c in zip(z.detach(), q, g, strict=True)]
    torch.testing.assert_close(z.grad.double(), torch.stack(expected), rtol=2e-3, atol=2e-3)


@catches(SUBJECT, "q + (turned - turned.detach())", "turned")
@given(st.integers(0, 10_000))
def test_the_value_is_exactly_that_of_the_codes(seed):
    z, q = (x.float() for x in pairs(seed))
    assert torch.equal(rotation_trick(z, q, channel_dim=-1), q)


@catches(SUBJECT, "channels_last(codes.detach(), channel_dim)", "channels_last(codes, channel_dim)")
def test_no_gradient_reaches_the_codes():
    z, q = normal(0, 2, 4, 3, 3).requires_grad_(), normal(1, 2, 4, 3, 3).requires_grad_()
    rotation_trick(z, q).square().sum().backward()
    assert q.grad is None
    assert z.grad.abs().max() > 0


def test_a_quarter_turn_by_hand():
    """From (2, 0) to (0, 1): half the length, turned to the left; so a gradient (a, b) comes back as (b, -a) / 2."""
    z = torch.tensor([[2.0, 0.0]], requires_grad=True)
    rotation_trick(z, torch.tensor([[0.0, 1.0]])).backward(torch.tensor([[3.0, 5.0]]))
    torch.testing.assert_close(z.grad, torch.tensor([[2.5, -1.5]]))


@catches(SUBJECT, "torch.where(length > SMALLEST_LENGTH,", "torch.where(length >= 0,")
def test_a_zero_feature_passes_the_gradient_straight_through_and_an_opposed_one_stays_finite():
    z = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    rotation_trick(z, torch.tensor([[3.0, 4.0], [-2.0, 0.0]])).backward(torch.tensor([[1.0, 2.0], [1.0, 2.0]]))
    torch.testing.assert_close(z.grad, torch.tensor([[1.0, 2.0], [-2.0, 4.0]]))


@catches(SUBJECT, "channels_back(q + ", "(q + ")
def test_it_stands_behind_a_quantizer_in_any_layout_and_dtype():
    quantizer = VectorQuantizer(16, 4, generator=torch.Generator().manual_seed(0))
    z = normal(3, 2, 4, 3, 5).bfloat16()
    out = rotation_trick(quantizer.to_code_space(z), quantizer(z).codes)
    assert (out.shape, out.dtype) == (z.shape, torch.bfloat16)
    assert torch.equal(out, quantizer(z).codes)


@catches(SUBJECT, "if z.shape != codes.shape:", "if z.numel() != codes.numel():")
def test_other_shapes_and_no_tensors_are_refused():
    with pytest.raises(ValueError, match=r"the same shape, got \(2, 3\) and \(3, 2\)"):
        rotation_trick(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(TypeError, match="codes must be a dense tensor"):
        rotation_trick(torch.zeros(2, 3), [1.0])


@catches(SUBJECT, "if not -z.ndim <= channel_dim < z.ndim:", "if False:")
@catches(SUBJECT, '    check_features(z, channel_dim, z.shape[channel_dim], "rotation_trick")\n', "")
def test_integers_and_dimensions_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"a dimension 2 \(channel_dim\), got \(2, 3\)"):
        rotation_trick(torch.zeros(2, 3), torch.zeros(2, 3), channel_dim=2)
    with pytest.raises(TypeError, match=r"z must be a floating-point tensor, got torch\.int64"):
        rotation_trick(torch.zeros(2, 3).long(), torch.zeros(2, 3))
