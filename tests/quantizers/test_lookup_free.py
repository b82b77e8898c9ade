"""Binary codes without a sphere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.quantizers import LookupFreeQuantizer

SUBJECT = "vistok.quantizers.lookup_free"


@catches(SUBJECT, "num_codebooks=num_groups", "num_codebooks=1")
def test_codes_are_the_signs_with_the_highest_bit_first():
    z = normal(0, 40, 6)
    out = LookupFreeQuantizer(6)(z)
    assert torch.equal(out.codes, torch.where(z > 0, 1.0, -1.0))
    assert out.indices.tolist() == [sum(int(b) << (5 - k) for k, b in enumerate(row)) for row in (z > 0)]
    halves = LookupFreeQuantizer(6, num_groups=2)(z)
    assert torch.equal(halves.codes, out.codes)
    assert torch.equal(halves.indices[:, 0] * 8 + halves.indices[:, 1], out.indices)


@catches(
    SUBJECT, "assign=self._assign, lookup=self._lookup", "assign=lambda rows: self._assign(-rows), lookup=self._lookup"
)
def test_by_hand_and_zero_counts_as_minus_one():
    """(0.2, -1.5, 4) is +-+, binary 101; zeros are all minus."""
    quantizer = LookupFreeQuantizer(3)
    out = quantizer(torch.tensor([[0.2, -1.5, 4.0], [0.0, 0.0, 0.0]]))
    assert out.indices.tolist() == [5, 0]
    assert out.codes.tolist() == [[1.0, -1.0, 1.0], [-1.0, -1.0, -1.0]]


@catches(SUBJECT, "_highest_first(codes.detach()", "_highest_first((codes * 2).detach()")
@given(seeds, st.sampled_from([1, 2, 3, 6]))
def test_codes_are_plus_or_minus_one_and_the_gradient_is_the_identity(seed, groups):
    z, up = normal(seed, 4, 6).requires_grad_(), normal(seed + 1, 4, 6)
    out = LookupFreeQuantizer(6, num_groups=groups)(z)
    assert (out.codes.abs() == 1).all()
    assert ((out.indices >= 0) & (out.indices < 2 ** (6 // groups))).all()
    (out.quantized * up).sum().backward()
    torch.testing.assert_close(z.grad, up)
    assert not out.codes.requires_grad


@catches(SUBJECT, "super().train(mode)\n        self.wrapped.eval()", "super().train(mode)")
def test_the_wrapped_module_stays_in_evaluation():
    quantizer = torch.nn.Sequential(LookupFreeQuantizer(4)).train()[0]
    assert quantizer.training
    assert not quantizer.wrapped.training


def test_a_group_has_at_most_eighteen_bits():
    with pytest.raises(ValueError, match="at most 18 bits"):
        LookupFreeQuantizer(19)


@catches(SUBJECT, ".unflatten(-1, (self.num_groups, -1)).flip(-1).flatten(-2)", ".flip(-1)")
@catches(SUBJECT, "if not self.lowest_bit_first:", "if self.lowest_bit_first:")
def test_the_lowest_bit_of_each_group_can_come_first():
    z = normal(0, 40, 6)
    for groups in (1, 2):
        quantizer = LookupFreeQuantizer(6, num_groups=groups, lowest_bit_first=True)
        out = quantizer(z)
        parts = (z > 0).long().unflatten(1, (groups, -1))
        expected = (parts << torch.arange(6 // groups)).sum(-1)
        assert torch.equal(out.indices.reshape(40, groups), expected)
        assert torch.equal(out.codes, torch.where(z > 0, 1.0, -1.0))
        assert torch.equal(quantizer.indices_to_codes(out.indices), out.codes)
        assert torch.equal(quantizer.codes_to_indices(out.codes), out.indices)
