"""The order of training batches as a pure function of the step, so that resuming needs no loader state."""

import functools
import hashlib

import torch
from torch import Tensor


def batch_indices(num_items: int, batch_size: int, step: int, seed: int) -> Tensor:
    r"""Indices of the batch of one step: any step, in any order, always the same.

    The items of epoch ``e`` are visited in a permutation drawn from ``(seed, e)`` alone. Batches are consecutive pieces
    of the endless sequence of permutations; one that reaches the end of an epoch goes on in the next, so no item is
    dropped. With ``p = step * batch_size + j`` and ``n = num_items``:

    .. math::
        \mathrm{index}_j = \pi_{\lfloor p / n \rfloor}(p \bmod n)

    Args:
        num_items: Size ``n`` of the data set, at least 1.
        batch_size: Number of indices, at least 1; it may exceed ``num_items``.
        step: The training step, from 0.
        seed: Any integer; another seed gives another order.

    Shape:
        - indices: ``(batch_size,)``, int64.

    Range:
        ``0`` to ``num_items - 1``; within an epoch every index occurs exactly once.

    Raises:
        ValueError: ``num_items`` or ``batch_size`` is below 1, or ``step`` is negative.

    Distributed:
        Knows no ranks: ask for the joint batch everywhere and slice it by rank.

    Example:
        >>> first_epoch = [batch_indices(6, 2, step, seed=0) for step in range(3)]
        >>> sorted(torch.cat(first_epoch).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    for name, value, least in (("num_items", num_items, 1), ("batch_size", batch_size, 1), ("step", step, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    pieces = []
    position, end = step * batch_size, (step + 1) * batch_size
    while position < end:
        epoch, offset = divmod(position, num_items)
        piece = _epoch_permutation(num_items, seed, epoch)[offset : offset + end - position]
        pieces.append(piece)
        position += len(piece)
    return torch.cat(pieces)


def permutation(count: int, *key: int) -> Tensor:
    """A permutation ``(count,)``, int64, drawn from the numbers of a key alone."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randperm(count, generator=generator)


_epoch_permutation = functools.lru_cache(maxsize=4)(permutation)
