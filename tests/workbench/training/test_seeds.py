"""Draws follow from seed, step and part, and from nothing that ran before."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.training.seeds import seed_step

SUBJECT = "vistok.workbench.training.seeds"


@catches(SUBJECT, "* 4_099 + part", "* 4_099")
@catches(SUBJECT, "    torch.manual_seed(mixed)\n", "")
@given(st.integers(0, 99), st.integers(0, 10**6), st.integers(0, 7))
def test_a_step_draws_the_same_numbers_whatever_ran_before(seed, step, rank):
    first = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    torch.rand(17)
    again = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = torch.rand(4, generator=seed_step(seed, step, rank + 1))
    assert not torch.equal(first[0], other)


def test_the_draws_are_pinned():
    """A run of an earlier version goes on as it began."""
    assert seed_step(3, 5, 1).initial_seed() == ((3 * 1_000_003 + 5) * 4_099 + 1) ^ 0x5DEECE66D
    assert torch.initial_seed() == (3 * 1_000_003 + 5) * 4_099 + 1
