"""Finite scalar quantization."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.quantizers import FiniteScalarQuantizer

SUBJECT = "vistok.quantizers.finite_scalar"


@catches(SUBJECT, "(digits - self.half_levels).float() / self.half_levels", "(digits - self.half_levels).float()")
@catches(SUBJECT, "math.prod(self.levels[:c])", "math.prod(self.levels[c + 1 :])")
@given(seeds, st.lists(st.integers(3, 9), min_size=1, max_size=5))
def test_codes_follow_the_formula(seed, levels):
    z = normal(seed, 12, len(levels)) * 3
    out = FiniteScalarQuantizer(levels)(z)
    count = torch.tensor(levels).double()
    reach, offset = (count - 1) * 1.001 / 2, (count % 2 == 0) * 0.5
    bounded = torch.tanh(z.double() + torch.atanh(offset / reach)) * reach - offset
    near_a_tie = ((bounded - bounded.floor()) - 0.5).abs() < 1e-4
    digits = bounded.round()
    wanted = digits / (count // 2)
    assert (near_a_tie | ((out.codes - wanted).abs() < 1e-6)).all()
    assert out.codes.abs().max() <= 1
    digits = (out.codes.double() * (count // 2)).round() + count // 2
    basis = torch.cat([torch.ones(1), count[:-1].cumprod(0)])
    assert torch.equal(out.indices, (digits * basis).sum(1).long())


@catches(SUBJECT, "+ self.half_levels", "")
def test_by_hand():
    """Five and three levels: 0 is the middle of five, digit 2; 9 the top of three, digit 2: 2 + 5 * 2."""
    out = FiniteScalarQuantizer([5, 3])(torch.tensor([[0.0, 9.0], [-9.0, 0.0]]))
    assert out.codes.tolist() == [[0.0, 1.0], [-1.0, 0.0]]
    assert out.indices.tolist() == [12, 5]


@catches(SUBJECT, "codes.detach() + _no_value(self.wrapped.quantize(features))", "codes.detach() + _no_value(features)")
@catches(SUBJECT, "torch.tanh(x + torch.atanh(offset / reach))", "torch.tanh(x)")
def test_the_gradient_passes_the_rounding_and_not_the_bound():
    quantizer = FiniteScalarQuantizer([5, 8])
    z = normal(0, 9, 2).requires_grad_()
    quantizer(z).quantized.sum().backward()
    again = z.detach().clone().requires_grad_()
    quantizer.to_code_space(again).sum().backward()
    torch.testing.assert_close(z.grad, again.grad)


@catches(SUBJECT, "if math.prod(whole) <= 2**62:", "if True:")
@catches(SUBJECT, "int(level) >= 3", "int(level) >= 2")
@catches(SUBJECT, "isinstance(level, Integral) and", "")
def test_wrong_levels_are_refused():
    for levels, message in (
        ([2, 5], "levels must be at least 3"),
        ([], "levels must be at least 3"),
        ([3.5], r"levels must be at least 3 and whole, .* got \[3\.5\]"),
        ([2**16] * 4, r"product up to 2\^62"),
        ([np.int64(2**16)] * 4, r"product up to 2\^62"),
        (8, "levels must be at least 3 and whole, .* got 8$"),
        ("855", r"levels must be at least 3 and whole, .* got \['8', '5', '5'\]$"),
    ):
        with pytest.raises(ValueError, match=message):
            FiniteScalarQuantizer(levels)


@catches(SUBJECT, "tuple(int(level) for level in given)", "tuple(given)")
@pytest.mark.parametrize("levels", [np.array([8, 5, 5]), [np.int64(8), np.int32(5), np.int16(5)]])
def test_levels_of_numpy_are_levels(levels):
    quantizer = FiniteScalarQuantizer(levels)
    assert {type(level) for level in (*quantizer.levels, quantizer.codebook_size)} == {int}
    z = normal(0, 7, 3)
    assert torch.equal(quantizer(z).indices, FiniteScalarQuantizer([8, 5, 5])(z).indices)


@catches(SUBJECT, "digits.clamp_min(0).minimum(most)", "digits")
@catches(
    SUBJECT, "torch.tensor(self.levels, device=codes.device) - 1", "torch.tensor(self.levels, device=codes.device)"
)
def test_values_beyond_the_outermost_level_count_for_it():
    quantizer = FiniteScalarQuantizer([4, 3], channel_dim=-1)
    beyond = torch.tensor([[1.0, 1.0], [-3.0, 0.0], [0.2, -1.7]])
    found = quantizer.indices_to_codes(quantizer.codes_to_indices(beyond))
    assert found.tolist() == [[0.5, 1.0], [-1.0, 0.0], [0.0, -1.0]]
