"""Embedding of the flow time."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    r"""Sinusoids of ``1000 t`` through a two-layer network.

    .. math:: W_2\,\mathrm{SiLU}(W_1\,[\cos(1000 t\,\omega), \sin(1000 t\,\omega)]), \quad
        \omega_i = 10000^{-i/128}

    Source:
        Peebles and Xie 2022, arXiv:2212.09748 (their code); xAR, arXiv:2502.20388.

    Args:
        dim: Size of the embedding.
        integer_time: Truncate ``1000 t`` to an integer first, as the published xAR networks do.

    Shape:
        ``t``: any shape, to ``(*t.shape, dim)``.

    Range:
        Unbounded; the sinusoids lie in ``[-1, 1]`` and are computed in float32.

    Gradient:
        Flows to both layers.

    Raises:
        ValueError: ``dim < 1``.

    Example:
        >>> import torch
        >>> TimeEmbedding(16)(torch.rand(2, 4)).shape
        torch.Size([2, 4, 16])
    """

    def __init__(self, dim: int, *, integer_time: bool = False) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be >= 1, got {dim}")
        self.integer_time = integer_time
        self.hidden = nn.Linear(256, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, t: Tensor) -> Tensor:
        """See the class."""
        scaled = t.float() * 1000
        if self.integer_time:
            scaled = scaled.trunc()
        index = torch.arange(128, dtype=torch.float32, device=t.device)
        angle = scaled[..., None] * torch.exp(-math.log(10000.0) * index / 128)
        sinusoids = torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.hidden.weight.dtype)
        out: Tensor = self.out(F.silu(self.hidden(sinusoids)))
        return out
