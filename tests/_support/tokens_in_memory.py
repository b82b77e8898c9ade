"""Caches of tokens that no file holds."""

import torch

from vistok.workbench.tokens.shards import TokenShards


def in_memory(labels=None, *, shard_size=2, **kinds):
    """The tokens ``(N, V, ...)`` of each kind as a cache, in shards of so many images."""
    first = next(iter(kinds.values()))
    arrays = {name: [part.numpy() for part in tokens.split(shard_size)] for name, tokens in kinds.items()}
    labels = torch.zeros(len(first), dtype=torch.int64) if labels is None else labels
    return TokenShards(arrays, labels, tuple(map(str, range(first.shape[1]))), shard_size)
