"""The order of training batches of a stream: any step at any time, while few shards are open at once."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from vistok.workbench.data.batch_order import permutation

#: Shards that a batch is drawn from, at about the same time.
LANES = 16


def shard_batch_indices(sizes: Sequence[int], batch_size: int, step: int, seed: int, *, lanes: int = LANES) -> Tensor:
    r"""Indices of the batch of one step: any step, in any order, always the same; near steps share their shards.

    Items are numbered shard after shard. In epoch ``e`` the shards come in an order drawn from ``(seed, e)``, the items
    of each in one drawn from ``(seed, e, shard)``. The places of a batch are divided into ``lanes`` parts. The epoch's
    row of items is cut into as many stretches, each as long as its lane has places in the epoch, and each lane goes
    along its own: a batch shows items of as many shards as there are lanes, and a process that takes consecutive places
    reads the shards of its lanes alone. Batches follow each other without a gap: one that reaches the end of an epoch
    goes on in the next.

    Args:
        sizes: Items of each shard, at least one in all.
        batch_size: Number of indices, at least 1.
        step: The training step, from 0.
        seed: Any integer; another seed gives another order.
        lanes: Parts of a batch, at least 1.

    Shape:
        - indices: ``(batch_size,)``, int64.

    Range:
        ``0`` to ``sum(sizes) - 1``; within an epoch every index occurs exactly once.

    Raises:
        ValueError: There are no items, ``batch_size`` is below 1, or ``step`` is negative.

    Distributed:
        Knows no ranks: ask for the joint batch everywhere and slice it by rank.

    Example:
        >>> epoch = torch.cat([shard_batch_indices((4, 4), 4, step, 0, lanes=2) for step in range(2)])
        >>> epoch.sort().values.tolist()
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    for name, value, least in (("batch_size", batch_size, 1), ("step", step, 0), ("items", sum(sizes), 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    count, lanes = sum(sizes), min(lanes, batch_size)
    edges = torch.tensor([-(-lane * batch_size // lanes) for lane in range(lanes + 1)])
    widths = edges.diff()

    def passed(position: int) -> Tensor:
        """How many places of each lane lie before a position of the endless row of places."""
        batches, place = divmod(position, batch_size)
        return batches * widths + (place - edges[:-1]).clamp_min(0).minimum(widths)

    pieces = []
    position, end = step * batch_size, (step + 1) * batch_size
    while position < end:
        epoch = position // count
        last = min(end, (epoch + 1) * count)
        places = torch.arange(position, last) % batch_size
        lane = torch.bucketize(places, edges[1:], right=True)
        before = passed(epoch * count)
        lengths = passed((epoch + 1) * count) - before
        stretches = lengths.cumsum(0) - lengths
        row = stretches[lane] + step * widths[lane] + places - edges[lane] - before[lane]
        pieces.append(_items(tuple(sizes), seed, epoch, row))
        position = last
    return torch.cat(pieces)


def _items(sizes: tuple[int, ...], seed: int, epoch: int, row: Tensor) -> Tensor:
    """Which items stand at these places of an epoch's row."""
    shards, ends, firsts = _shard_row(sizes, seed, epoch)
    slots = torch.bucketize(row, ends, right=True)
    items = torch.empty_like(row)
    for slot in slots.unique().tolist():
        here, shard = slots == slot, int(shards[slot])
        order = _order_within(sizes[shard], seed, epoch, shard)
        items[here] = firsts[shard] + order[row[here] - ends[slot] + sizes[shard]]
    return items


@functools.lru_cache(maxsize=2)
def _shard_row(sizes: tuple[int, ...], seed: int, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
    """The shards of an epoch in order, where each ends in its row, and the first item of each shard by its number."""
    lengths = torch.tensor(sizes)
    shards = permutation(len(sizes), seed, epoch)
    return shards, lengths[shards].cumsum(0), lengths.cumsum(0) - lengths


@functools.lru_cache(maxsize=4 * LANES)
def _order_within(size: int, seed: int, epoch: int, shard: int) -> Tensor:
    return permutation(size, seed, epoch, shard)
