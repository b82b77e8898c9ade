"""Log of the soft histogram of all pairs, with similarities counted in fine cells.

A cell grid spans the similarities. Each pair adds its linear interpolation weights to the two nodes around it (a count
and a first moment per cell), so the sum over pairs becomes a sum over nodes. The gradient of a pair is a function of
its similarity alone: one table, interpolated linearly, and one more product with the codes. Both interpolations carry
the second-order term that remains when similarities are uniform inside a cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from vistok.losses._exact_pairs import BLOCK_ELEMENTS, pair_blocks
from vistok.losses._precision import autocast_off

CELLS = 16384
# An accelerator wants fewer, larger launches; counts of a block stay exact in float32 below 2**24.
_ACCELERATOR_BLOCK_ELEMENTS = 1 << 21
# Room for rounding at both ends of the grid; also the width of the grid when all codes point the same way.
_MARGIN = 1e-5


@dataclass
class _Grid:
    """Node ``m`` sits at ``low + m * step``; ``low`` and ``step`` stay on the device."""

    low: Tensor
    step: Tensor

    def nodes(self, dtype: torch.dtype) -> Tensor:
        index = torch.arange(CELLS + 1, device=self.low.device, dtype=dtype)
        return self.low.to(dtype) + index * self.step.to(dtype)


def _accumulator_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def _block_elements(device: torch.device) -> int:
    return BLOCK_ELEMENTS if device.type == "cpu" else _ACCELERATOR_BLOCK_ELEMENTS


def _grid(unit: Tensor) -> _Grid:
    """Span the similarities: vectors within an angle t of their mean are within 2 t of each other."""
    mean = unit.mean(dim=0)
    closest = (unit @ (mean / mean.norm().clamp_min(1e-12))).amin().clamp_min(0.0)
    low = (2.0 * closest.square() - 1.0 - _MARGIN).clamp_min(-1.0 - _MARGIN)
    return _Grid(low, (1.0 + _MARGIN - low) / CELLS)


class _Cells:
    """Cell index and position inside the cell for every pair of a block, in buffers that all blocks share."""

    def __init__(self, unit: Tensor, grid: _Grid) -> None:
        ones = torch.ones_like(unit[:, :1])
        self.left = torch.cat([unit / grid.step, ones * (-grid.low / grid.step)], dim=1)
        self.right = torch.cat([unit, ones], dim=1).T.contiguous()
        size = min(_block_elements(unit.device), unit.shape[0] ** 2)
        self.position_buffer = unit.new_empty(size)
        self.index_buffer = torch.empty(size, dtype=torch.int32, device=unit.device)

    def block(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """Return int32 cells and the positions in [0, 1] inside them, both flat."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        position = self.position_buffer[: height * width]
        torch.mm(self.left[rows], self.right[:, columns], out=position.view(height, width))
        position.clamp_(0.0, CELLS - 2.0**-9)
        index = self.index_buffer[: height * width].copy_(position)
        return index, position.frac_()


def _node_weights(unit: Tensor, grid: _Grid, include_diagonal: bool) -> Tensor:
    """Return how much of all pairs each node holds, ``(CELLS + 1,)``; sums to the number of pairs."""
    cells = _Cells(unit, grid)
    dtype = _accumulator_dtype(unit.device)
    total = torch.zeros(CELLS, 2, dtype=dtype, device=unit.device)
    counted = torch.zeros(CELLS, 2, dtype=unit.dtype, device=unit.device)
    pairs = torch.ones(cells.position_buffer.numel(), 2, dtype=unit.dtype, device=unit.device)
    index_buffer = torch.empty_like(cells.index_buffer, dtype=torch.int64)

    def count(index: Tensor, position: Tensor) -> Tensor:
        size = index.numel()
        pairs[:size, 1].copy_(position)
        where = index_buffer[:size].copy_(index)
        counted.zero_()
        torch.view_as_complex(counted).scatter_add_(0, where, torch.view_as_complex(pairs)[:size])
        return counted

    for rows, columns in pair_blocks(unit.shape[0], _block_elements(unit.device)):
        index, position = cells.block(rows, columns)
        if rows != columns:
            total.add_(count(index, position), alpha=2.0)
            continue
        total.add_(count(index, position))
        side = rows.stop - rows.start
        diagonal = count(index[:: side + 1], position[:: side + 1].clone())
        total.add_(diagonal, alpha=1.0 if include_diagonal else -1.0)
    number, moment = total.mul_(0.5).unbind(dim=1)
    weights = torch.zeros(CELLS + 1, dtype=dtype, device=unit.device)
    weights[:-1] += number - moment
    weights[1:] += moment
    return weights.clamp_min_(0.0)


def _bin_chunks(bins: int, device: torch.device) -> Iterator[slice]:
    """Cut the bins so that a matrix of bins and nodes, in float64 with temporaries, is no larger than a block."""
    size = max(1, _block_elements(device) // (4 * CELLS))
    return (slice(start, start + size) for start in range(0, bins, size))


def _log_sums(unit: Tensor, grid: _Grid, centres: Tensor, alpha: float, include_diagonal: bool) -> Tensor:
    weights = _node_weights(unit, grid, include_diagonal)
    nodes = grid.nodes(weights.dtype)
    log_weights = weights.log()
    curvature = (grid.step.to(weights.dtype)) ** 2 / 12.0
    log_sums = []
    for bins in _bin_chunks(len(centres), unit.device):
        squared = (nodes - centres[bins, None].to(weights.dtype)).square_()
        # Linear interpolation overshoots a curved kernel by step^2 / 12 times its second derivative.
        overshoot = (squared * (4.0 * alpha * alpha) - 2.0 * alpha).mul_(-curvature).clamp_(-0.5, 0.5).log1p_()
        log_sums.append(torch.logsumexp(squared.mul_(-alpha).add_(log_weights).add_(overshoot), dim=1))
    return torch.cat(log_sums)


def _slope_table(grid: _Grid, centres: Tensor, alpha: float, log_sums: Tensor, weights: Tensor) -> Tensor:
    """Return value and increment of ``d loss / d similarity`` per cell, ``(CELLS, 2)``."""
    nodes = grid.nodes(log_sums.dtype)
    centres, weights = centres.to(log_sums.dtype), weights.to(log_sums.dtype) * (-2.0 * alpha)
    slope = torch.zeros_like(nodes)
    for bins in _bin_chunks(len(centres), nodes.device):
        offset = nodes - centres[bins, None]
        # A pair cannot hold more than the whole sum; only nodes without pairs near them go far beyond.
        share = offset.square().mul_(-alpha).sub_(log_sums[bins, None]).clamp_(max=1.0).exp_()
        slope += weights[bins] @ share.mul_(offset)
    bend = slope.diff().diff() / 12.0
    slope[1:-1] -= bend
    return torch.stack([slope[:-1], slope.diff()], dim=1)


def _gradient(unit: Tensor, grid: _Grid, table: Tensor) -> Tensor:
    cells = _Cells(unit, grid)
    packed = torch.view_as_complex(table.to(unit.dtype).contiguous())
    looked_up = torch.empty(cells.position_buffer.numel(), dtype=packed.dtype, device=unit.device)
    turned = unit.T.contiguous()
    gradient = torch.zeros_like(turned)
    for rows, columns in pair_blocks(unit.shape[0], _block_elements(unit.device)):
        index, position = cells.block(rows, columns)
        cell = looked_up[: index.numel()]
        torch.index_select(packed, 0, index, out=cell)
        value, increment = torch.view_as_real(cell).unbind(dim=-1)
        slope = torch.addcmul(value, increment, position, out=position)
        slope = slope.view(rows.stop - rows.start, columns.stop - columns.start)
        # g(D_ii) u_i points along u_i, where the normalisation has no gradient: the diagonal needs no mask.
        gradient[:, columns] += turned[:, rows] @ slope
        if rows != columns:
            gradient[:, rows] += turned[:, columns] @ slope.T
    return gradient.T.contiguous()


class CountedLogSums(torch.autograd.Function):
    """``log sum_pairs exp(-alpha (D - b_k)^2)`` for unit rows, by counting; memory of a few blocks, whatever n is."""

    @staticmethod
    def forward(ctx: FunctionCtx, unit: Tensor, centres: Tensor, alpha: float, include_diagonal: bool) -> Tensor:
        unit = torch.nan_to_num(unit)
        grid = _grid(unit)
        log_sums = _log_sums(unit, grid, centres, alpha, include_diagonal)
        ctx.save_for_backward(unit, centres, log_sums, grid.low, grid.step)
        ctx.alpha = alpha  # type: ignore[attr-defined]
        return log_sums

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, weights: Tensor) -> tuple[Tensor, None, None, None]:
        unit, centres, log_sums, low, step = ctx.saved_tensors  # type: ignore[attr-defined]
        alpha: float = ctx.alpha  # type: ignore[attr-defined]
        grid = _Grid(low, step)
        with autocast_off(unit):
            return _gradient(unit, grid, _slope_table(grid, centres, alpha, log_sums, weights)), None, None, None
