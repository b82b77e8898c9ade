"""Rotary position embedding in one and two dimensions."""

from typing import Literal

import torch
from torch import Tensor


def rotary_table_1d(length: int, head_dim: int, *, base: float = 10000.0) -> Tensor:
    r"""Angles' cosines and sines of positions ``0..length-1``.

    .. math:: \theta_{p,i} = p \cdot base^{-2i/d}

    Source:
        Su et al. 2021, arXiv:2104.09864, Eq. 15.

    Args:
        length: Number of positions.
        head_dim: Size of one attention head, even.
        base: Base of the geometric series of frequencies.

    Shape:
        ``(length, head_dim / 2, 2)``: cosine and sine.

    Range:
        Cosine and sine of one angle: the last axis has unit norm.

    Gradient:
        None: a constant table.

    Raises:
        ValueError: ``head_dim`` is odd or ``length < 1``.

    Example:
        >>> rotary_table_1d(4, 8).shape
        torch.Size([4, 4, 2])
    """
    if head_dim % 2 or head_dim < 2 or length < 1:
        raise ValueError(f"rotary needs an even head_dim and length >= 1, got head_dim {head_dim}, length {length}")
    frequency = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rotary_table_2d(grid_size: tuple[int, int], head_dim: int, *, base: float = 10000.0) -> Tensor:
    """Axial table: the first half of a head turns with the row, the second with the column.

    Source:
        The axial form used by LlamaGen (arXiv:2406.06525) and xAR (arXiv:2502.20388).

    Args:
        grid_size: Rows and columns.
        head_dim: Size of one attention head, a multiple of 4.
        base: Base of the geometric series of frequencies.

    Shape:
        ``(rows * columns, head_dim / 2, 2)``, positions in row-major order.

    Range:
        As in :func:`rotary_table_1d`.

    Gradient:
        None: a constant table.

    Raises:
        ValueError: ``head_dim`` is no multiple of 4.

    Example:
        >>> rotary_table_2d((2, 3), 8).shape
        torch.Size([6, 4, 2])
    """
    if head_dim % 4:
        raise ValueError(f"two-dimensional rotary needs head_dim divisible by 4, got {head_dim}")
    rows, columns = grid_size
    row = rotary_table_1d(rows, head_dim // 2, base=base)
    column = rotary_table_1d(columns, head_dim // 2, base=base)
    row = row[:, None].expand(rows, columns, -1, 2)
    column = column[None].expand(rows, columns, -1, 2)
    return torch.cat([row, column], dim=-2).flatten(0, 1)


def rotary_table(shape: int | tuple[int, int], head_dim: int) -> Tensor:
    """The table of a sequence of so many positions, or of a grid."""
    return rotary_table_1d(shape, head_dim) if isinstance(shape, int) else rotary_table_2d(shape, head_dim)


def behind_prefix(table: Tensor, rotation: Literal["identity", "zero"] = "identity") -> Tensor:
    """The table with a row for a token in front of all positions: no rotation, or zeros as some networks have there."""
    prefix = torch.zeros_like(table[:1])
    if rotation == "identity":
        prefix[..., 0] = 1
    return torch.cat([prefix, table])


def rotate(x: Tensor, table: Tensor) -> Tensor:
    r"""Turn neighbouring pairs of channels by the angles of a table.

    .. math:: (x_0, x_1) \mapsto (x_0 \cos - x_1 \sin,\; x_1 \cos + x_0 \sin)

    Source:
        Su et al. 2021, arXiv:2104.09864, Eq. 34.

    Args:
        x: Queries or keys.
        table: Rows of a rotary table, one a token. An all-zero row turns its token into zeros.

    Shape:
        - x: ``(..., tokens, head_dim)``; table: ``(tokens, head_dim / 2, 2)``.
        - output: shape and dtype of ``x``; the turn itself is computed in float32.

    Range:
        The norm of each pair is kept.

    Gradient:
        The inverse turn of the incoming gradient.

    Raises:
        RuntimeError: The sizes do not fit (from broadcasting).

    Example:
        >>> import torch
        >>> x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
        >>> torch.allclose(rotate(x, rotary_table_1d(5, 8)).norm(dim=-1), x.norm(dim=-1))
        True
    """
    pairs = x.float().contiguous().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling() or x.device.type not in ("cpu", "cuda"):
        even, odd = pairs.unbind(-1)
        cos, sin = table.unbind(-1)
        turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
    else:  # one complex product in place of six real ones
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table.float()))
    return turned.flatten(-2).to(x.dtype)
