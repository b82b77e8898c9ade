"""How much of each codebook is used."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.metrics import CodeUsage, NotMeasurableError

SUBJECT = "vistok.metrics.codes.code_usage"


@catches(SUBJECT, "(counts > 0).double().mean(dim=1)", "(counts > 0).double().mean()[None]")
@catches(SUBJECT, "torch.exp2(entropy)", "torch.exp(entropy)")
@catches(SUBJECT, ".reshape(-1, self.num_codebooks)", ".reshape(self.num_codebooks, -1).T")
def test_each_codebook_is_counted_by_itself():
    tokens = torch.stack([torch.tensor([0, 0, 1, 2]), torch.tensor([3, 3, 3, 3]), torch.tensor([0, 1, 2, 3])], dim=-1)
    metric = CodeUsage(4, 3)
    metric.update(tokens[None, :2])
    metric.update(tokens[2:])
    figures = metric.compute()
    assert figures.usage.tolist() == [0.75, 0.25, 1.0]
    assert figures.entropy.tolist() == pytest.approx([1.5, 0.0, 2.0], abs=1e-12)
    assert figures.perplexity.tolist() == pytest.approx([2**1.5, 1.0, 4.0], abs=1e-12)
    assert figures.counts.tolist() == [[2, 1, 1, 0], [0, 0, 0, 4], [1, 1, 1, 1]]


@given(st.integers(1, 9), st.integers(1, 60), st.integers(0, 10**6))
def test_it_follows_its_formulas_and_stays_in_range(size, count, seed):
    tokens = torch.randint(size, (count,), generator=seeded(seed))
    metric = CodeUsage(size)
    metric.update(tokens)
    figures = metric.compute()
    shares = np.unique(tokens.numpy(), return_counts=True)[1] / count
    assert figures.usage.item() == pytest.approx(len(shares) / size)
    assert figures.perplexity.item() == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert 1 - 1e-9 <= figures.perplexity.item() <= size + 1e-9


@catches(SUBJECT, "indices.shape[-1] != self.num_codebooks", "False")
@catches(SUBJECT, '_state["counts"].clone()', '_state["counts"]')
def test_bad_input_is_named_and_figures_are_a_copy():
    metric = CodeUsage(4, 2)
    with pytest.raises(ValueError, match=r"the last dimension of indices must be 2, got \(3, 4\)"):
        metric.update(torch.zeros(3, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="indices must be 0 to 3, got 0 to 4"):
        metric.update(torch.tensor([[0, 4]]))
    with pytest.raises(NotMeasurableError, match="at least 1 token"):
        metric.compute()
    with pytest.raises(ValueError, match="at least 1, got 0 and 1"):
        CodeUsage(0)
    metric.update(torch.tensor([[0, 3]]))
    metric.compute().counts.zero_()
    assert metric.compute().counts.sum() == 2
