"""Cut a latent grid into the units that xAR predicts one after the other."""

from typing import Literal, get_args

import torch
from torch import Tensor

from vistok.generators._checks import check_choice

CellOrder = Literal["block", "interleaved"]


def cell_permutation(grid_size: tuple[int, int], cell_size: tuple[int, int], *, order: CellOrder = "block") -> Tensor:
    """Row-major positions of a grid, listed cell by cell.

    ``"block"``: a cell is a block of neighbours; cells and the tokens in them are in row-major order. Cells of one
    token give plain token order, one cell as large as the grid the whole image. ``"interleaved"``: a cell is a
    sub-sampled grid, every ``rows / cell_rows``-th row and likewise for columns.

    Source:
        xAR (arXiv:2502.20388), Section 3.1: cell, sub-sample, token and whole-image entities.

    Args:
        grid_size: Rows and columns of the grid.
        cell_size: Rows and columns of a cell; must divide the grid.
        order: See above.

    Shape:
        ``(rows * columns,)``, int64; consecutive runs of ``cell_rows * cell_columns`` make a cell.

    Range:
        A permutation of ``0 .. rows * columns - 1``.

    Raises:
        ValueError: The cell does not divide the grid, or an unknown order.

    Example:
        >>> cell_permutation((2, 4), (2, 2)).tolist()
        [0, 1, 4, 5, 2, 3, 6, 7]
        >>> cell_permutation((2, 4), (2, 2), order="interleaved").tolist()
        [0, 2, 4, 6, 1, 3, 5, 7]
    """
    rows, columns = grid_size
    cell_rows, cell_columns = cell_size
    if min(rows, columns, cell_rows, cell_columns) < 1 or rows % cell_rows or columns % cell_columns:
        raise ValueError(f"cells of {cell_rows}x{cell_columns} do not divide a grid of {rows}x{columns}")
    check_choice("order", order, get_args(CellOrder))
    index = torch.arange(rows * columns)
    down, across = rows // cell_rows, columns // cell_columns
    if order == "block":
        return index.reshape(down, cell_rows, across, cell_columns).permute(0, 2, 1, 3).flatten()
    return index.reshape(cell_rows, down, cell_columns, across).permute(1, 3, 0, 2).flatten()


def block_causal_mask(num_cells: int, cell_tokens: int, *, device: torch.device | None = None) -> Tensor:
    """Boolean mask: a token sees all tokens of its own cell and of earlier cells.

    Source:
        xAR (arXiv:2502.20388), Section 3.2.

    Args:
        num_cells: Number of cells.
        cell_tokens: Tokens of a cell.
        device: Where the mask lies.

    Shape:
        ``(L, L)`` with ``L = num_cells * cell_tokens``; true where row may look at column.

    Example:
        >>> block_causal_mask(2, 1).tolist()
        [[True, False], [True, True]]
    """
    cell = torch.arange(num_cells * cell_tokens, device=device) // cell_tokens
    return cell[:, None] >= cell[None, :]
