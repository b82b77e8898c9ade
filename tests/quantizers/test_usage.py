"""Usage and perplexity of a stream; the sum over ranks is in test_distributed.py."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded, seeds
from vistok.quantizers import CodebookUsage

SUBJECT = "vistok.quantizers.usage"


@catches(SUBJECT, "torch.special.entr(p).sum(1).exp()", "torch.special.entr(p).sum(1).exp2()")
@catches(SUBJECT, "usage=(counts > 0).double().mean(1)", "usage=(counts > 1).double().mean(1) * 8 / 7")
@catches(SUBJECT, "codes >> bit & 1", "codes >> (bits - 1 - bit) & 1")
@catches(SUBJECT, "exp() * (n.squeeze(1) > 0)", "exp()")
def test_by_hand():
    """Eight codes, counts 4 2 2 0 ...: usage 3/8, entropy 1.5 bits, ones 2/8 in the lowest bit and 2/8 in the next."""
    usage = CodebookUsage(8)
    usage(torch.tensor([[0, 1, 2, 0], [0, 2, 1, 0]]))
    report = usage.report()
    assert report.counts.tolist() == [[4, 2, 2, 0, 0, 0, 0, 0]]
    assert report.usage.tolist() == [0.375]
    assert abs(report.perplexity.item() - 2**1.5) < 1e-12
    assert report.bit_balance.tolist() == [[0.25, 0.25, 0.0]]
    usage.reset()
    assert usage.report().perplexity.item() == 0
    assert usage.report().usage.item() == 0


@catches(SUBJECT, "counts.index_add_(0, column, torch.ones_like(column))", "counts.index_fill_(0, column, 1)")
def test_it_streams_and_keeps_codebooks_apart():
    indices = torch.randint(0, 10, (6, 5, 3), generator=seeded(0))
    whole, parts = CodebookUsage(10, 3), CodebookUsage(10, 3)
    whole(indices)
    for piece in indices:
        parts(piece)
    assert torch.equal(whole.report().counts, parts.report().counts)
    for book in range(3):
        column = indices[..., book].flatten()
        p = torch.tensor([(column == k).double().mean() for k in range(10)])
        assert torch.equal(whole.report().counts[book], torch.bincount(column, minlength=10))
        wanted = math.exp(-sum(float(v) * math.log(v) for v in p if v > 0))
        assert abs(whole.report().perplexity[book].item() - wanted) < 1e-9
    assert whole.report().bit_balance.shape == (3, 0)


@catches(SUBJECT, "counts=counts.clone()", "counts=counts")
def test_a_report_stays_what_it_was_when_counting_goes_on():
    usage = CodebookUsage(4)
    usage(torch.tensor([1]))
    report = usage.report()
    usage(torch.tensor([1, 2]))
    assert report.counts.tolist() == [[0, 1, 0, 0]]


@given(st.integers(1, 40), seeds)
def test_usage_and_perplexity_stay_in_their_range(size, seed):
    usage = CodebookUsage(size)
    usage(torch.randint(0, size, (30,), generator=seeded(seed)))
    report = usage.report()
    assert 0 < report.usage.item() <= 1
    assert 1 - 1e-9 <= report.perplexity.item() <= size + 1e-9
    assert ((report.bit_balance >= 0) & (report.bit_balance <= 1 + 1e-12)).all()


@catches(SUBJECT, "if codebook_size * num_codebooks > _MOST_COUNTS:", "if codebook_size > _MOST_COUNTS:")
@catches(SUBJECT, "> _MOST_COUNTS:", ">= _MOST_COUNTS:")
def test_counts_that_no_memory_holds_are_refused():
    with torch.device("meta"):
        assert CodebookUsage(2**18, 2).counts.shape == (2, 2**18)
        assert CodebookUsage(2**32).counts.shape == (1, 2**32)
        for size, books in ((2**36, 1), (2**62, 1), (2**31, 4)):
            with pytest.raises(ValueError, match=rf"at most 2\^32 \(.* in groups\), got {size} \* {books}$"):
                CodebookUsage(size, books)


def test_it_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match=r"^CodebookUsage: codebook_size must be a whole number of at least 1, got 0$"):
        CodebookUsage(0)
    with pytest.raises(TypeError, match="integer tensor"):
        CodebookUsage(4)(torch.zeros(3))
    with pytest.raises(ValueError, match="last dimension of indices must be 2"):
        CodebookUsage(4, 2)(torch.zeros(3, dtype=torch.int64))
    for bad in (4, -1):
        with pytest.raises(ValueError, match=r"CodebookUsage: indices must lie in 0 \.\. 3, got values from"):
            CodebookUsage(4)(torch.tensor([0, bad]))
