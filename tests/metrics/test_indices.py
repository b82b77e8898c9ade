"""Checks and entropies of tokens."""

import math

import pytest
import torch

from _support.mutants import catches
from vistok.metrics.codes._indices import checked_indices, entropy_bits

SUBJECT = "vistok.metrics.codes._indices"


@catches(SUBJECT, "<= int(found.max()) < size", "<= int(found.max()) <= size")
@catches(SUBJECT, "not 0 <= int(found.min()) <=", "not int(found.min()) <=")
@catches(SUBJECT, "indices.is_floating_point() or ", "")
def test_tokens_are_whole_numbers_of_the_codebook():
    found = checked_indices(torch.tensor([[0, 3]], dtype=torch.uint8), 4)
    assert found.dtype == torch.int64
    assert found.tolist() == [[0, 3]]
    assert checked_indices(torch.zeros(0, dtype=torch.int64), 4).shape == (0,)
    with pytest.raises(ValueError, match="tokens must be 0 to 3, got 1 to 4"):
        checked_indices(torch.tensor([1, 4]), 4, "tokens")
    with pytest.raises(ValueError, match="got -1 to 0"):
        checked_indices(torch.tensor([0, -1]), 4)
    for wrong in (torch.tensor([1.0]), torch.tensor([True])):
        with pytest.raises(TypeError, match="indices must be whole numbers, got"):
            checked_indices(wrong, 4)


@catches(SUBJECT, " / math.log(2.0)", "")
@catches(SUBJECT, "counts.sum(dim=-1, keepdim=True)", "counts.sum()")
def test_entropies_by_hand():
    """Shares 1/2, 1/4, 1/4: 1.5 bits; one code: 0; none: 0."""
    found = entropy_bits(torch.tensor([[4, 2, 2], [0, 7, 0], [0, 0, 0], [1, 1, 1]]))
    assert found.tolist() == pytest.approx([1.5, 0.0, 0.0, math.log2(3)], abs=1e-12)
