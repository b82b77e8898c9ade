"""The path that every quantizer shares: float32 rows, an index a row, codes of the indices, an estimator."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.quantizers._precision import autocast_off
from vistok.quantizers._rows import channels_back, channels_last
from vistok.quantizers.quantized import Quantized, straight_through


class Tokens(NamedTuple):
    """What was looked up: detached float32 rows (0 where not finite), their indices, and which rows were finite."""

    rows: Tensor
    indices: Tensor
    finite: Tensor


def quantize_tokens(
    z: Tensor,
    channel_dim: int,
    *,
    scale: Callable[[Tensor], Tensor],
    assign: Callable[[Tensor], Tensor],
    lookup: Callable[[Tensor], Tensor],
    estimate: Callable[[Tensor, Tensor], Tensor] = straight_through,
) -> tuple[Quantized, Tokens]:
    """Quantize every token of ``z`` outside autocast.

    ``scale`` maps ``(*, d)`` features to float32 code space, ``assign`` maps ``(n, d)`` rows to ``(n,)`` or
    ``(n, m)`` indices, ``lookup`` maps indices to ``(*, d)`` codes, ``estimate(features, codes)`` gives the
    features for the decoder. Rows that are not finite get index 0 and NaN.
    """
    with autocast_off(z):
        features = scale(channels_last(z, channel_dim))
        with torch.no_grad():
            rows = features.detach().reshape(-1, features.shape[-1])
            finite = rows.isfinite().all(1)
            rows = torch.where(finite.unsqueeze(1), rows, 0.0)
            flat = assign(rows)
            flat = flat * finite.view(-1, *[1] * (flat.ndim - 1))
        indices = flat.reshape(*features.shape[:-1], *flat.shape[1:])
        codes = lookup(indices)
        alive = finite.view(indices.shape[: features.ndim - 1]).unsqueeze(-1)
        quantized = torch.where(alive, estimate(features, codes), float("nan"))
    codes, quantized = (channels_back(x, channel_dim).to(z.dtype) for x in (codes, quantized))
    return Quantized(quantized, codes, indices), Tokens(rows, flat, finite)
