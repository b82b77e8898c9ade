"""Attention of xAR's cells: to all tokens of the own cell and of the cells before it."""

from functools import partial

import torch
from torch import Tensor

from vistok.generators.layers.attention import AttentionBackend, attention
from vistok.generators.layers.cells import block_causal_mask

_MOST_CALLS = 16
_FEWEST_TOKENS = 64


def cell_attention(
    query: Tensor, key: Tensor, value: Tensor, *, cell_tokens: int, dropout: float, backend: AttentionBackend
) -> Tensor:
    r"""Attention under :func:`~vistok.generators.block_causal_mask`, without the mask where cells are few and large.

    .. math:: o_n = \mathrm{Attn}(q_n,\; [k_1, \dots, k_n],\; [v_1, \dots, v_n])

    A mask keeps CUDA from its fastest kernel, and what it hides is computed all the same. So the queries of each cell
    get a call of their own, on the keys they may see: :math:`(N + 1) / 2N` of the products for ``N`` cells. With cells
    of one token it is causal attention, one call.

    A call has a price too. With more than 16 cells, or fewer than 64 tokens a cell, the mask takes over. That limit is
    measured on the CPU only (``benchmarks/generators.py --part cells``): there cells of 16 tokens are up to 3 times
    slower by calls, 4 cells of 64 about even or 1.6 times faster, of 256 up to 1.9 times. CUDA was not measured.

    Source:
        xAR (arXiv:2502.20388), Section 3.2.

    Args:
        query: Of consecutive cells, the last ones of those in ``key``.
        key: Of these cells and all before them.
        value: As ``key``.
        cell_tokens: Tokens of a cell.
        dropout: As in :func:`~vistok.generators.attention`.
        backend: As in :func:`~vistok.generators.attention`.

    Shape:
        - query: ``(B, heads, Q, head_dim)``; key, value: ``(B, heads, K, head_dim)``, whole cells.
        - output: like ``query``.
    """
    attend = partial(attention, dropout=dropout, backend=backend)
    keys, before = key.shape[2], key.shape[2] - query.shape[2]
    num_cells = query.shape[2] // cell_tokens
    if num_cells == 1:
        return attend(query, key, value)
    if cell_tokens == 1 and before == 0:
        return attend(query, key, value, causal=True)
    if num_cells > _MOST_CALLS or cell_tokens < _FEWEST_TOKENS:
        mask = block_causal_mask(keys // cell_tokens, cell_tokens, device=query.device)
        return attend(query, key, value, mask=mask[before:])
    parts = []
    for cell, part in enumerate(query.split(cell_tokens, dim=2), start=1):
        end = before + cell * cell_tokens
        parts.append(attend(part, key[:, :, :end], value[:, :, :end]))
    return torch.cat(parts, dim=2)
