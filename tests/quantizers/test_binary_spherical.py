"""Binary codes on the sphere."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given

from _support.float64 import unit64
from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.quantizers import BinarySphericalQuantizer

SUBJECT = "vistok.quantizers.binary_spherical"


@catches(SUBJECT, "math.sqrt(self.bits)", "self.bits")
def test_codes_are_the_nearest_corners():
    corners = torch.tensor(list(product((-1.0, 1.0), repeat=5))).double() / math.sqrt(5)
    z = normal(0, 50, 5)
    out = BinarySphericalQuantizer(5)(z)
    nearest = (unit64(z).unsqueeze(1) - corners).square().sum(2).argmin(1)
    assert torch.allclose(out.codes.double(), corners[nearest], atol=1e-6)
    bits = (z > 0).long()
    assert out.indices.tolist() == [sum(int(b) << k for k, b in enumerate(row)) for row in bits]


@catches(SUBJECT, "rows > 0", "rows >= 0")
@catches("vistok.quantizers._bits", "bits.unflatten(-1, (num_groups, -1))", "bits.unflatten(-1, (-1, num_groups)).mT")
def test_by_hand_groups_hold_the_lowest_bits_first_and_zero_counts_as_minus_one():
    z = torch.tensor([[1.0, -1.0, -1.0, 1.0, 1.0, -1.0]])
    assert BinarySphericalQuantizer(6, num_groups=2)(z).indices.tolist() == [[1, 3]]
    assert BinarySphericalQuantizer(6)(z).indices.tolist() == [25]
    assert BinarySphericalQuantizer(2)(torch.zeros(1, 2)).indices.tolist() == [0]


@catches(SUBJECT, "return unit(x.float())", "return x.float()")
def test_the_gradient_goes_to_the_direction():
    z, up = normal(0, 4, 6).requires_grad_(), normal(1, 4, 6)
    (BinarySphericalQuantizer(6)(z).quantized * up).sum().backward()
    z64 = z.detach().double().requires_grad_()
    (unit64(z64) * up).sum().backward()
    assert torch.allclose(z.grad.double(), z64.grad, atol=1e-6)


@given(seeds)
def test_wide_tokens_survive_the_round_trip_in_integers(seed):
    quantizer = BinarySphericalQuantizer(62)
    z = normal(seed, 5, 62)
    out = quantizer(z)
    assert torch.equal(quantizer.indices_to_codes(out.indices), out.codes)
    assert (out.indices >= 0).all()
    torch.testing.assert_close(out.codes.norm(dim=1), torch.ones(5))


@catches(SUBJECT, "most=62", "most=63")
def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="num_groups must divide bits"):
        BinarySphericalQuantizer(7, num_groups=2)
    with pytest.raises(ValueError, match="at most 62 bits"):
        BinarySphericalQuantizer(63)
