"""The order of batches: every item once an epoch, any step at any time, for ever the same."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data.batch_order import batch_indices

SUBJECT = "vistok.workbench.data.batch_order"


@catches(SUBJECT, "offset + end - position]", "offset + batch_size]")
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**40))
def test_every_item_comes_exactly_once_an_epoch(num_items, batch_size, seed):
    steps = -(-3 * num_items // batch_size)
    stream = torch.cat([batch_indices(num_items, batch_size, step, seed) for step in range(steps)])
    for epoch in stream[: 3 * num_items].view(3, num_items):
        assert sorted(epoch.tolist()) == list(range(num_items))


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 10**9))
def test_any_step_can_be_asked_for_in_any_order(num_items, batch_size, step):
    later = batch_indices(num_items, batch_size, step + 3, 5)
    first = batch_indices(num_items, batch_size, step, 5)
    assert torch.equal(batch_indices(num_items, batch_size, step + 3, 5), later)
    assert first.shape == (batch_size,)
    assert first.dtype == torch.int64
    whole = batch_indices(num_items, 2 * batch_size, step, 5)
    halves = [batch_indices(num_items, batch_size, 2 * step + part, 5) for part in (0, 1)]
    assert torch.equal(whole, torch.cat(halves))


@catches(SUBJECT, "_epoch_permutation(num_items, seed, epoch)", "_epoch_permutation(num_items, seed)")
@catches(SUBJECT, "_epoch_permutation(num_items, seed, epoch)", "_epoch_permutation(num_items, epoch)")
def test_another_seed_and_another_epoch_give_another_order():
    orders = {tuple(batch_indices(50, 50, step, seed).tolist()) for step in range(3) for seed in range(3)}
    assert len(orders) == 9


def test_the_order_is_pinned():
    """Resumed runs of later versions must see the same batches."""
    assert batch_indices(10, 10, 0, 0).tolist() == [3, 8, 4, 7, 1, 6, 5, 0, 2, 9]


@pytest.mark.parametrize(
    ("arguments", "name"), [((0, 1, 0), "num_items"), ((1, 0, 0), "batch_size"), ((1, 1, -1), "step")]
)
def test_a_bad_batch_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        batch_indices(*arguments, seed=0)
