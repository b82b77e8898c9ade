"""The order of a stream: each item once an epoch, few shards at a time, the lanes of a process its own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data.shard_order import shard_batch_indices

SUBJECT = "vistok.workbench.data.shard_order"
SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


@catches(SUBJECT, "lengths = passed((epoch + 1) * count) - before", "lengths = widths * (count // batch_size)")
@catches(SUBJECT, "torch.bucketize(row, ends, right=True)", "torch.bucketize(row, ends)")
@catches(SUBJECT, "- before[lane]", "")
@given(SIZES, st.integers(1, 20), st.integers(0, 9), st.integers(1, 6))
def test_every_item_comes_once_an_epoch_whatever_the_batch(sizes, batch_size, seed, lanes):
    count, epochs = sum(sizes), 3
    steps = range(-(-count * epochs // batch_size))
    row = torch.cat([shard_batch_indices(sizes, batch_size, step, seed, lanes=lanes) for step in steps])
    for epoch in range(epochs):
        assert row[epoch * count : (epoch + 1) * count].sort().values.tolist() == list(range(count))


@catches(SUBJECT, "permutation(size, seed, epoch, shard)", "permutation(size, seed, epoch)")
@catches(SUBJECT, "return permutation(size, seed, epoch, shard)", "return torch.arange(size)")
@catches(SUBJECT, "permutation(len(sizes), seed, epoch)", "torch.arange(len(sizes))")
def test_another_seed_and_another_epoch_are_in_another_order_and_so_are_shards():
    def epoch(number, seed):
        return torch.stack([shard_batch_indices([32] * 8, 16, number * 16 + s, seed, lanes=2) for s in range(16)])

    assert torch.equal(epoch(0, 3), epoch(0, 3))
    first, others = epoch(0, 0), [epoch(1, 0), epoch(0, 1)]
    assert not any(torch.equal(first, other) for other in others)
    assert not any(torch.equal(first // 32, other // 32) for other in others)
    within = [first[first // 32 == shard] % 32 for shard in range(8)]
    assert not torch.equal(within[0], within[1])
    assert (within[0].diff() != 1).any()


@catches(SUBJECT, "torch.bucketize(places, edges[1:], right=True)", "places % lanes")
def test_a_batch_is_of_as_many_shards_as_there_are_lanes_and_a_process_reads_its_own():
    sizes, lanes, read = [64] * 16, 4, [set(), set()]
    for step in range(64):
        batch = shard_batch_indices(sizes, 16, step, 0, lanes=lanes)
        for lane in batch.chunk(lanes):
            assert len((lane // 64).unique()) == 1
        assert len((batch // 64).unique()) == lanes
        for rank, own in enumerate(batch.chunk(2)):
            read[rank] |= set((own // 64).tolist())
    assert [len(shards) for shards in read] == [8, 8]
    assert not read[0] & read[1]


def test_what_cannot_be_is_refused():
    for sizes, batch_size, step in (([0, 0], 1, 0), ([3], 0, 0), ([3], 1, -1)):
        with pytest.raises(ValueError, match="must be at least"):
            shard_batch_indices(sizes, batch_size, step, 0)
