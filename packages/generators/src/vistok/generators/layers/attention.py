"""Attention behind one function: PyTorch's SDPA, or xformers where it is asked for by name."""

import math
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from vistok.generators._checks import check_choice
from vistok.generators.layers._xformers_attention import check_xformers_device, xformers_attention, xformers_ops

AttentionBackend = Literal["sdpa", "xformers"]
_BACKENDS = get_args(AttentionBackend)
_MOST_KEYS = 512  # of products: beyond, the fused kernel is as fast or faster, and it holds no weights


def check_attention_backend(
    backend: str,
    device: torch.device | None = None,
    *,
    dtype: torch.dtype | None = None,
    masked: bool = False,
    name: str = "backend",
) -> None:
    """Raise unless :func:`attention` can run with ``backend``, as far as what is given tells.

    The name alone tells whether xformers can be imported: models ask that when they are built.

    Args:
        backend: ``"sdpa"`` or ``"xformers"``.
        device: Where the tensors are; ``None`` and the meta device say nothing.
        dtype: Of the queries.
        masked: Whether there is a mask as a tensor.
        name: What the message calls the choice.

    Raises:
        ValueError: An unknown backend; xformers cannot be imported; the device is not CUDA; or it is newer than
            compute capability 9.0, where xformers has no kernel for float32 nor for a mask.

    Example:
        >>> check_attention_backend("sdpa")
        >>> check_attention_backend("flash")
        Traceback (most recent call last):
        ValueError: backend must be 'sdpa' or 'xformers', got 'flash'
    """
    check_choice(name, backend, _BACKENDS)
    if backend == "sdpa":
        return
    xformers_ops(name)
    if device is not None and device.type != "meta":
        check_xformers_device(device, dtype, masked, name)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    dropout: float = 0.0,
    backend: AttentionBackend = "sdpa",
) -> Tensor:
    r"""Softmax attention over heads, the one place where a kernel is chosen.

    .. math:: \mathrm{softmax}(q k^T / \sqrt{d_h} + m)\, v

    On CPUs PyTorch's kernels are slower than plain products in bfloat16 (the fastest of them 1.5 to 2.8 times, forward
    and backward, at 64 to 256 tokens: ``benchmarks/attention.py``). So up to 512 keys bfloat16 is attended by products,
    single queries in float32, under autocast too.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, Eq. 1.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        mask: Boolean, true where a query may look. At least one true entry a row.
        causal: Query ``i`` looks at keys ``0..i``. Not together with ``mask``.
        dropout: Probability of dropping an attention weight.
        backend: ``"sdpa"`` is PyTorch's, for every device; ``"xformers"`` takes the kernels of that package, for CUDA
            tensors. On the meta device, where there are only shapes, both are SDPA.

    Shape:
        - query: ``(B, heads, Q, head_dim)``; key, value: ``(B, heads, K, head_dim)``.
        - mask: broadcastable to ``(B, heads, Q, K)``.
        - output: like ``query``, its dtype too.

    Range:
        Every output is a convex combination of the values it may see.

    Gradient:
        Flows to query, key and value.

    Raises:
        ValueError: ``mask`` and ``causal`` together, or a ``backend`` that cannot run: see
            :func:`check_attention_backend`.

    Example:
        >>> import torch
        >>> value = torch.arange(3.0).reshape(1, 1, 3, 1)
        >>> attention(torch.zeros(1, 1, 3, 1), torch.zeros(1, 1, 3, 1), value, causal=True).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    if mask is not None and causal:
        raise ValueError("attention: give mask or causal, not both")
    check_attention_backend(backend, query.device, dtype=query.dtype, masked=mask is not None)
    if backend == "xformers" and not query.is_meta:
        return xformers_attention(query, key, value, mask, causal, dropout)
    attend = partial(F.scaled_dot_product_attention, attn_mask=mask, is_causal=causal, dropout_p=dropout)
    if query.device.type != "cpu" or query.dtype == torch.float64:
        return attend(query, key, value)
    with torch.autocast("cpu", enabled=False):
        if query.shape[2] == 1 or not query.dtype == key.dtype == value.dtype == torch.bfloat16:
            return attend(query.float(), key.float(), value.float()).to(query.dtype)
        if key.shape[2] > _MOST_KEYS:
            return attend(query, key, value)
        return _products(query, key, value, mask, causal, dropout)


def _products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float) -> Tensor:
    """The formula as it stands."""
    if causal:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    logits = (query * query.shape[-1] ** -0.5) @ key.mT
    if mask is not None:
        logits += torch.zeros_like(mask, dtype=logits.dtype).masked_fill_(~mask, -math.inf)
    return F.dropout(logits.softmax(dim=-1), dropout) @ value
