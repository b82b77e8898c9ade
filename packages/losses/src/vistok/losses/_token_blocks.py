"""Sums over tokens in blocks that are computed again in backward, so memory does not grow with the tokens."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def as_tokens(features: Tensor, channel_dim: int) -> Tensor:
    """Return ``(tokens, channels)`` from features whose channels sit at ``channel_dim``."""
    return features.movedim(channel_dim, -1).reshape(-1, features.shape[channel_dim])


def sum_over_blocks(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], tokens: Tensor, block_size: int
) -> tuple[Tensor, Tensor]:
    """Return the sums of both results of ``function`` over blocks of ``block_size`` rows."""
    if tokens.shape[0] <= block_size:
        return function(tokens)
    first: Tensor | None = None
    second: Tensor | None = None
    for block in tokens.split(block_size):
        if torch.is_grad_enabled():
            a, b = checkpoint(function, block, use_reentrant=False, preserve_rng_state=False)
        else:
            a, b = function(block)
        first = a if first is None else first + a
        second = b if second is None else second + b
    if first is None or second is None:
        raise ValueError(f"tokens must not be empty, got shape {tuple(tokens.shape)}")
    return first, second
