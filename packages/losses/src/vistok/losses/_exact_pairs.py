"""Log of the soft histogram of all pairs, each pair evaluated at each bin, in blocks and again in backward."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from vistok.losses._precision import autocast_off

# Similarities held at a time: a block and its few temporaries stay in the cache of a core, far below any memory bound.
BLOCK_ELEMENTS = 1 << 18


def pair_blocks(n: int, block_elements: int = BLOCK_ELEMENTS) -> Iterator[tuple[slice, slice]]:
    """Cut all pairs of n rows into blocks that hold each unordered pair once.

    Yields ``(rows, columns)``: equal slices on the diagonal, columns after the rows elsewhere.
    """
    side = max(1, int(block_elements**0.5))
    for start in range(0, n, side):
        rows = slice(start, min(start + side, n))
        yield rows, rows
        for left in range(rows.stop, n, side):
            yield rows, slice(left, min(left + side, n))


def _log_sums(unit: Tensor, centres: Tensor, alpha: float, include_diagonal: bool) -> Tensor:
    log_sums = torch.full_like(centres, float("-inf"))
    for rows, columns in pair_blocks(unit.shape[0]):
        similarity = unit[rows] @ unit[columns].T
        skip = None
        if rows == columns:
            ones = torch.ones_like(similarity, dtype=torch.bool)
            skip = ones.tril(-1 if include_diagonal else 0)
        sums = []
        for centre in centres.unbind():
            exponent = (similarity - centre).square_().mul_(-alpha)
            if skip is not None:
                exponent.masked_fill_(skip, float("-inf"))
            sums.append(torch.logsumexp(exponent.flatten(), dim=0))
        log_sums = torch.logaddexp(log_sums, torch.stack(sums))
    return log_sums


def _gradient(unit: Tensor, centres: Tensor, alpha: float, log_sums: Tensor, weights: Tensor) -> Tensor:
    gradient = torch.zeros_like(unit)
    for rows, columns in pair_blocks(unit.shape[0]):
        similarity = unit[rows] @ unit[columns].T
        slope = torch.zeros_like(similarity)
        for centre, log_sum, weight in zip(centres.unbind(), log_sums.unbind(), weights.unbind(), strict=True):
            offset = similarity - centre
            # No pair holds more than the whole sum. The diagonal is not in the sum, so it alone may pass zero.
            share = offset.square().mul_(-alpha).sub_(log_sum).clamp_(max=0.0).exp_()
            slope += share.mul_(offset).mul_(-2.0 * alpha * weight)
        # g(D_ii) u_i points along u_i, where the normalisation has no gradient: the diagonal needs no mask.
        gradient[rows] += slope @ unit[columns]
        if rows != columns:
            gradient[columns] += slope.T @ unit[rows]
    return gradient


class ExactLogSums(torch.autograd.Function):
    """``log sum_pairs exp(-alpha (D - b_k)^2)`` for unit rows; memory of one block, whatever n is."""

    @staticmethod
    def forward(ctx: FunctionCtx, unit: Tensor, centres: Tensor, alpha: float, include_diagonal: bool) -> Tensor:
        log_sums = _log_sums(unit, centres, alpha, include_diagonal)
        ctx.save_for_backward(unit, centres, log_sums)
        ctx.alpha = alpha  # type: ignore[attr-defined]
        return log_sums

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, weights: Tensor) -> tuple[Tensor, None, None, None]:
        unit, centres, log_sums = ctx.saved_tensors  # type: ignore[attr-defined]
        alpha: float = ctx.alpha  # type: ignore[attr-defined]
        with autocast_off(unit):
            return _gradient(unit, centres, alpha, log_sums, weights), None, None, None
