"""Adaptive layer normalisation: shifts, scales and gates from a condition."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Modulation(nn.Module):
    r"""AdaLN: map a condition to ``num_chunks`` vectors that shift, scale and gate a block.

    .. math:: (m_1, \dots, m_k) = W\,\mathrm{SiLU}(c) + b

    Source:
        Peebles and Xie 2022, arXiv:2212.09748, Section 3.2 (adaLN block).

    Args:
        dim: Size of the condition and of each chunk.
        num_chunks: How many vectors; 6 for shift, scale and gate of attention and feed-forward.
        zero_init: Start at zero, so that gated branches start closed (adaLN-Zero).

    Shape:
        Condition ``(..., dim)`` to ``num_chunks`` tensors ``(..., dim)``.

    Range:
        Exactly zero at the start when ``zero_init``.

    Gradient:
        Flows to the condition and the map.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> import torch
        >>> shift, scale = Modulation(8, 2)(torch.zeros(3, 8))
        >>> shift.shape
        torch.Size([3, 8])
    """

    def __init__(self, dim: int, num_chunks: int = 6, *, zero_init: bool = False) -> None:
        super().__init__()
        if dim < 1 or num_chunks < 1:
            raise ValueError(f"dim and num_chunks must be >= 1, got {dim} and {num_chunks}")
        self.num_chunks = num_chunks
        self.proj = nn.Linear(dim, num_chunks * dim)
        if zero_init:
            nn.init.zeros_(self.proj.weight)
        else:
            nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.proj(F.silu(condition)).chunk(self.num_chunks, dim=-1))


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    r"""Shift and scale a normalised vector.

    .. math:: x \odot (1 + scale) + shift

    Source:
        Peebles and Xie 2022, arXiv:2212.09748, Section 3.2.

    Args:
        x: The normalised vector.
        shift: Added last.
        scale: 0 leaves ``x`` as it is.

    Shape:
        ``x``: ``(..., dim)``; ``shift`` and ``scale`` broadcast to it.

    Example:
        >>> import torch
        >>> modulate(torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([0.5])).item()
        4.0
    """
    return torch.addcmul(shift, x, scale + 1)
