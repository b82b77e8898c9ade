"""What masked autoregression refuses among its options."""

import math

import pytest

from _support.mutants import catches
from vistok.generators import MaskedAROptions

SUBJECT = "vistok.generators.masked_ar_options"


@catches(SUBJECT, '("label_smoothing", "label_drop_prob", "dropout")', '("label_smoothing",)')
def test_shares_lie_below_one():
    for name in ("label_smoothing", "label_drop_prob", "dropout"):
        for value in (-0.1, 1.0):
            with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\), got {value}"):
                MaskedAROptions(**{name: value})
        assert getattr(MaskedAROptions(**{name: 0.5}), name) == 0.5


@catches(SUBJECT, "math.isfinite(self.unmasked_weight) and ", "")
def test_the_weight_of_what_is_not_masked_is_a_finite_number():
    for weight in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"unmasked_weight must be finite and >= 0, got {weight}"):
            MaskedAROptions(unmasked_weight=weight)


@catches(SUBJECT, 'check_choice("positions"', 'print("positions"')
def test_unknown_names_are_named_with_what_there_is():
    with pytest.raises(ValueError, match=r"positions must be 'learned' or 'rotary', got 'sine'"):
        MaskedAROptions(positions="sine")
    with pytest.raises(ValueError, match=r"schedule must be .*'arccos'.*, got 'sine'"):
        MaskedAROptions(schedule="sine")
