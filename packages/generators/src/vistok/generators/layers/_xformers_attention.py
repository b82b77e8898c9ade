"""Attention by xformers' kernels: whether they are there, and what they want of layout and mask."""

from typing import Any

import torch
from torch import Tensor

_ROW_MULTIPLE = 8  # rows of an additive bias begin on multiples of 16 bytes, of entries of 2 bytes or more
_LAST_GENERAL_CAPABILITY = (9, 0)  # newer devices have the kernels of half precision without a tensor for a mask


def xformers_ops(name: str) -> Any:
    """The module ``xformers.ops``, or one line about ``name`` that says why it cannot be had."""
    try:
        from xformers import ops
    except Exception as error:  # a wheel built for another torch fails in many ways
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{name} must be 'sdpa' where xformers cannot be imported, got 'xformers' ({reason[:200]})"
        ) from error
    return ops


def check_xformers_device(device: torch.device, dtype: torch.dtype | None, masked: bool, name: str) -> None:
    """Raise ``ValueError`` where xformers has no kernel for tensors like these."""
    if device.type != "cuda":
        raise ValueError(f"{name} must be 'sdpa' for tensors on {device}, got 'xformers' (its kernels are CUDA's)")
    capability = torch.cuda.get_device_capability(device)
    if capability <= _LAST_GENERAL_CAPABILITY:
        return
    what = "a mask" if masked else "torch.float32" if dtype == torch.float32 else None
    if what is not None:
        number = ".".join(map(str, capability))
        raise ValueError(
            f"{name} must be 'sdpa' for {what} on a device of compute capability {number}, got 'xformers' "
            "(beyond 9.0 it has kernels of half precision without a mask only)"
        )


def xformers_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
) -> Tensor:
    """Tensors ``(B, heads, tokens, head_dim)`` through kernels whose layout is ``(B, tokens, heads, head_dim)``."""
    ops = xformers_ops("backend")
    bias = None
    if causal:
        bias = ops.LowerTriangularMask()
    elif mask is not None:
        bias = additive_bias(mask, query, key)
    by_token = (part.transpose(1, 2) for part in (query, key, value))
    try:
        out: Tensor = ops.memory_efficient_attention(*by_token, attn_bias=bias, p=dropout)
    except NotImplementedError as error:  # xformers answers with a page of reasons, one for each of its kernels
        raise ValueError(
            f"backend must be 'sdpa' for {query.dtype} queries of shape {tuple(query.shape)} on {query.device}, "
            "got 'xformers' (it has no kernel for them)"
        ) from error
    return out.transpose(1, 2)


def additive_bias(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """0 where ``mask`` lets a query look and ``-inf`` elsewhere, ``(B, heads, Q, K)`` in the query's dtype.

    It is a slice of memory whose rows are a multiple of 8 entries apart, as the kernels want it.
    """
    keys = key.shape[-2]
    padded = query.new_zeros(*mask.shape[:-1], -(-keys // _ROW_MULTIPLE) * _ROW_MULTIPLE)
    bias = padded[..., :keys].masked_fill_(~mask, float("-inf"))
    return bias.expand(*query.shape[:-1], keys)
