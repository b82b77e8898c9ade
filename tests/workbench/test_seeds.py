"""Draws follow from seed, step and part, and from nothing that ran before."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok.workbench.training.seeds import seed_step


@given(st.integers(0, 99), st.integers(0, 10**6), st.integers(0, 7))
def test_a_step_draws_the_same_numbers_whatever_ran_before(seed, step, rank):
    first = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    torch.rand(17)
    again = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = torch.rand(4, generator=seed_step(seed, step, rank + 1))
    assert not torch.equal(first[0], other)
