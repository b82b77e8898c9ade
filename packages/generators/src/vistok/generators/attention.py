"""Attention behind one function: PyTorch's SDPA, or xformers on CUDA where it is installed."""

import importlib.util
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttentionBackend = Literal["auto", "sdpa", "xformers"]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    backend: AttentionBackend = "auto",
) -> Tensor:
    r"""Softmax attention over heads, the one place where a kernel is chosen.

    .. math:: \mathrm{softmax}(q k^T / \sqrt{d_h} + m)\, v

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, Eq. 1.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        mask: Boolean, true where a query may look. At least one true entry a row.
        causal: Query ``i`` looks at keys ``0..i``. Not together with ``mask``.
        dropout: Probability of dropping an attention weight.
        backend: ``"auto"`` takes xformers for CUDA tensors where it is installed, else SDPA.

    Shape:
        - query: ``(B, heads, Q, head_dim)``; key, value: ``(B, heads, K, head_dim)``.
        - mask: broadcastable to ``(B, heads, Q, K)``.
        - output: like ``query``.

    Range:
        Every output is a convex combination of the values it may see.

    Gradient:
        Flows to query, key and value.

    Raises:
        ValueError: ``mask`` and ``causal`` together, or an unknown ``backend``.

    Example:
        >>> import torch
        >>> value = torch.arange(3.0).reshape(1, 1, 3, 1)
        >>> attention(torch.zeros(1, 1, 3, 1), torch.zeros(1, 1, 3, 1), value, causal=True).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    if mask is not None and causal:
        raise ValueError("attention: give mask or causal, not both")
    if backend not in ("auto", "sdpa", "xformers"):
        raise ValueError(f"backend must be 'auto', 'sdpa' or 'xformers', got {backend!r}")
    if backend == "xformers" or (backend == "auto" and query.is_cuda and _xformers_installed()):
        return _xformers_attention(query, key, value, mask, causal, dropout)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal, dropout_p=dropout)


@cache
def _xformers_installed() -> bool:
    return importlib.util.find_spec("xformers") is not None


def _xformers_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, dropout: float) -> Tensor:
    """The same attention through xformers, whose layout is (B, tokens, heads, head_dim)."""
    from xformers import ops

    bias = None
    if causal:
        bias = ops.LowerTriangularMask()
    elif mask is not None:
        bias = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, float("-inf"))
        bias = bias.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    out = ops.memory_efficient_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_bias=bias, p=dropout
    )
    result: Tensor = out.transpose(1, 2)
    return result
