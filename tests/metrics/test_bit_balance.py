"""How evenly bits take both values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.metrics import BitBalance, NotMeasurableError, index_bits

SUBJECT = "vistok.metrics.codes.bit_balance"


@catches(SUBJECT, "torch.special.entr(share) + torch.special.entr(1 - share)", "torch.special.entr(share)")
@catches(SUBJECT, "(2 * share - 1).abs()", "(share - 1).abs()")
@catches(SUBJECT, "((ones > 0) & (ones < count))", "(ones > 0)")
@catches(SUBJECT, "(share < _DEAD) | (share > 1 - _DEAD)", "share < _DEAD")
@catches(SUBJECT, "found.sum(dim=0)", "found.sum(dim=0).flip(0)")
def test_by_hand():
    """Shares 1/2, 1/4, 1 and 0: entropies 1, 2 - 3/4 log2 3, 0, 0; imbalances 0, 1/2, 1, 1."""
    bits = torch.tensor([[[0, 1], [1, 0]], [[1, 0], [1, 0]], [[0, 0], [1, 0]], [[1, 0], [1, 0]]])
    metric = BitBalance((2, 2))
    metric.update(bits[:1].bool())
    metric.update(bits[1:])
    figures = metric.compute()
    assert figures.share_of_ones.tolist() == [[0.5, 0.25], [1.0, 0.0]]
    assert figures.entropy == pytest.approx((1 + 2 - 0.75 * math.log2(3)) / 4, abs=1e-12)
    assert (figures.imbalance, figures.alive, figures.dead) == (2.5 / 4, 0.5, 0.5)


def test_a_bit_that_turns_once_in_300_images_is_alive_and_dead():
    bits = torch.zeros(300, 1, dtype=torch.int64)
    bits[17] = 1
    metric = BitBalance((1,))
    metric.update(bits)
    assert (metric.compute().alive, metric.compute().dead) == (1.0, 1.0)


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10**6))
def test_figures_stay_in_range_and_do_not_tell_0_from_1(width, count, seed):
    bits = torch.randint(2, (count, width), generator=seeded(seed))
    figures = []
    for values in (bits, 1 - bits):
        metric = BitBalance((width,))
        metric.update(values)
        figures.append(metric.compute())
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in figures[0][1:])
    assert figures[0][1:] == pytest.approx(figures[1][1:], abs=1e-12)


@catches(SUBJECT, "torch.arange(bits, device=indices.device)", "torch.arange(bits, device=indices.device).flip(0)")
def test_bits_of_indices_add_up_to_them():
    indices = torch.randint(2**12, (5, 3), generator=seeded(0))
    bits = index_bits(indices, 12)
    assert bits.shape == (5, 3, 12)
    assert torch.equal((bits * 2 ** torch.arange(12)).sum(-1), indices)


@catches(SUBJECT, "or bits.is_floating_point()", "")
@catches(SUBJECT, "(found == 0) | (found == 1)", "found <= 1")
def test_bad_input_is_named():
    metric = BitBalance((3,))
    with pytest.raises(ValueError, match=r"whole numbers \(B, 3\), got \(1, 2\) torch.int64"):
        metric.update(torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match=r"whole numbers \(B, 3\), got \(1, 3\) torch.float32"):
        metric.update(torch.ones(1, 3))
    with pytest.raises(ValueError, match="bits must be 0 or 1, got -1 to 1"):
        metric.update(torch.tensor([[-1, 1, 1]]))
    with pytest.raises(NotMeasurableError, match="at least 1 image"):
        metric.compute()
    with pytest.raises(ValueError, match="shape must have sides of at least 1"):
        BitBalance(())
