"""Bits a token."""

import math

import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import integer_tensors
from vistok.metrics import NotMeasurableError, token_rate

SUBJECT = "vistok.metrics.rate.token_rate"


@catches(SUBJECT, "math.log2(len(counts))", "math.log(len(counts))")
@catches(SUBJECT, "math.log2(len(counts))", "math.log2(int((counts > 0).sum()))")
def test_by_hand():
    """Shares 1/2, 1/4, 1/8, 1/8 of 6 codes: 1/2 + 2/4 + 3/8 + 3/8 bits."""
    assert token_rate(torch.tensor([4, 2, 0, 1, 1, 0])) == (math.log2(6), 1.75)
    assert token_rate(torch.tensor([0, 9])) == (1.0, 0.0)


@given(integer_tensors((7,), limit=50))
def test_coding_never_takes_more_than_writing(values):
    counts = values.abs().long() + 1
    rate = token_rate(counts)
    assert 0 <= rate.coded <= rate.written + 1e-12
    assert rate.coded == pytest.approx(token_rate(counts.flip(0)).coded)


@catches(SUBJECT, "if not int(counts.sum()):", "if False:")
@catches(SUBJECT, "bool((counts < 0).any())", "False")
def test_bad_input_is_named():
    for counts in (torch.tensor([1, -1, 3]), torch.zeros(2, 2), torch.zeros(0)):
        with pytest.raises(ValueError, match=r"counts must be \(K,\) and not negative"):
            token_rate(counts)
    with pytest.raises(NotMeasurableError, match="at least 1 token"):
        token_rate(torch.zeros(4, dtype=torch.int64))
