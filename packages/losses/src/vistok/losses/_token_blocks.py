"""Sums over tokens in blocks that are computed again in backward, so memory does not grow with the tokens."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from vistok.losses._precision import autocast_off

BlockFunction = Callable[..., Tensor | tuple[Tensor, ...]]


def as_tokens(features: Tensor, channel_dim: int) -> Tensor:
    """Return ``(tokens, channels)`` from features whose channels sit at ``channel_dim``."""
    return features.movedim(channel_dim, -1).reshape(-1, features.shape[channel_dim])


def _as_tuple(results: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


class _BlockSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, function: BlockFunction, block_size: int, tokens: Tensor, *shared: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(tokens, *shared)
        ctx.function, ctx.block_size = function, block_size  # type: ignore[attr-defined]
        blocks = tokens.split(block_size)
        sums = [result.clone() for result in _as_tuple(function(blocks[0], *shared))]
        for block in blocks[1:]:
            for total, result in zip(sums, _as_tuple(function(block, *shared)), strict=True):
                total += result
        return tuple(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens, *shared = ctx.saved_tensors  # type: ignore[attr-defined]
        token_gradient = torch.empty_like(tokens)
        shared_gradients = [torch.zeros_like(tensor) for tensor in shared]
        for start in range(0, tokens.shape[0], ctx.block_size):  # type: ignore[attr-defined]
            rows = slice(start, start + ctx.block_size)  # type: ignore[attr-defined]
            with autocast_off(tokens), torch.enable_grad():
                inputs = [tensor.detach().requires_grad_() for tensor in (tokens[rows], *shared)]
                results = _as_tuple(ctx.function(*inputs))  # type: ignore[attr-defined]
                # A scalar, because torch loads its symbolic algebra (30 MB) for gradients of anything else.
                weighted = torch.stack([(r * g).sum() for r, g in zip(results, gradients, strict=True)]).sum()
                block_gradient, *others = torch.autograd.grad(weighted, inputs)
            token_gradient[rows] = block_gradient
            for total, gradient in zip(shared_gradients, others, strict=True):
                total += gradient
        return (None, None, token_gradient, *shared_gradients)


def sum_over_blocks(function: BlockFunction, tokens: Tensor, *shared: Tensor, block_size: int) -> tuple[Tensor, ...]:
    """Return the sums of the results of ``function(rows, *shared)`` over blocks of ``block_size`` rows."""
    if tokens.shape[0] <= block_size:
        return _as_tuple(function(tokens, *shared))
    sums: tuple[Tensor, ...] = _BlockSums.apply(function, block_size, tokens, *shared)
    return sums
