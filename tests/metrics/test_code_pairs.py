"""Joint entropy and mutual information of two codebooks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.metrics import CodePairs, NotMeasurableError

SUBJECT = "vistok.metrics.codes.code_pairs"


def of(first, second, sizes):
    metric = CodePairs(*sizes)
    metric.update(first, second)
    return metric.compute()


@catches(SUBJECT, "codes[0] * self.second_size + codes[1]", "codes[0] * self.first_size + codes[1]")
@catches(SUBJECT, "first + second - joint)", "first + second)")
@catches(SUBJECT, "(pairs // self.second_size, self.first_size)", "(pairs % self.second_size, self.second_size)")
def test_by_hand():
    """Pairs (0, 0) twice, (1, 2), (1, 1): joint 1.5 bits, first 1 bit, second 1.5 bits: 1 bit in common.

    Bias: (3 pairs - 2 - 3 + 1) / (2 * 4 ln 2).
    """
    found = of(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 2, 1]), (2, 3))
    assert found == pytest.approx((1.0, 1.5, 1.5, 1.0, -1 / (8 * math.log(2))), abs=1e-12)


@catches(SUBJECT, '.index_add_(0, places, rows["counts"])', ".index_add_(0, places, torch.ones_like(places))")
def test_it_follows_its_formula_from_a_whole_table():
    first = torch.randint(5, (400,), generator=seeded(0))
    second = (first + torch.randint(3, (400,), generator=seeded(1))) % 7
    table = np.zeros((5, 7))
    np.add.at(table, (first.numpy(), second.numpy()), 1)
    p = table / 400
    information = sum(
        p[a, b] * np.log2(p[a, b] / (p[a].sum() * p[:, b].sum())) for a in range(5) for b in range(7) if p[a, b]
    )
    metric = CodePairs(5, 7)
    for part in torch.arange(400).split(9):
        metric.update(first[part], second[part])
        metric._condense()
    found = metric.compute()
    assert found.mutual_information == pytest.approx(information, abs=1e-12)
    assert found.joint_entropy == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum(), abs=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_information_is_at_most_either_entropy_and_symmetric(seed, count):
    first, second = (torch.randint(4, (count,), generator=seeded(seed + part)) for part in range(2))
    found, swapped = of(first, second, (4, 4)), of(second, first, (4, 4))
    assert -1e-12 <= found.mutual_information <= min(found.first_entropy, found.second_entropy) + 1e-12
    assert found.mutual_information == pytest.approx(swapped.mutual_information, abs=1e-12)
    assert of(first, first, (4, 4)).mutual_information == pytest.approx(found.first_entropy, abs=1e-12)


@catches(SUBJECT, "len(pairs) - sum(", "len(pairs) + sum(")
def test_the_bias_is_what_independent_tokens_seem_to_share():
    """2,000 pairs of independent fair codes of 16 values: (15 * 15) / (2 * 2000 ln 2) bits."""
    found = [
        of(*(torch.randint(16, (2000,), generator=seeded(2 * seed + part)) for part in range(2)), (16, 16))
        for seed in range(8)
    ]
    assert found[0].bias == pytest.approx(225 / (4000 * math.log(2)), rel=0.01)
    assert np.mean([one.mutual_information for one in found]) == pytest.approx(found[0].bias, rel=0.1)


def test_large_codebooks_take_memory_for_the_pairs_that_occurred_only():
    metric = CodePairs(2**18, 2**18)
    for seed in range(20):
        tokens = torch.randint(2**18, (500,), generator=seeded(seed % 4))
        metric.update(tokens, tokens)
    assert len(metric.state_dict()["pairs"]) <= 2000
    assert metric.compute().mutual_information == pytest.approx(math.log2(2000), abs=0.02)


@catches(SUBJECT, "if first.shape != second.shape:", "if False:")
def test_bad_input_is_named():
    metric = CodePairs(2, 3)
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(1,\)"):
        metric.update(torch.tensor([0, 1]), torch.tensor([0]))
    with pytest.raises(ValueError, match="second must be 0 to 2, got 3 to 3"):
        metric.update(torch.tensor([0]), torch.tensor([3]))
    with pytest.raises(NotMeasurableError, match="at least 1 token"):
        metric.compute()
    with pytest.raises(ValueError, match="at least 1, got 2 and 0"):
        CodePairs(2, 0)
