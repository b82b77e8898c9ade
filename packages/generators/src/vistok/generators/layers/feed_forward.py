"""The gated feed-forward layer."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from vistok.generators._checks import check_choice, check_share

Gate = Literal["silu", "gelu"]


class SwiGLU(nn.Module):
    r"""Feed-forward layer with a gated hidden state.

    .. math:: W_o\,(\phi(W_g x) \odot W_v x)

    ``phi`` is SiLU (the SwiGLU of the name) or GELU (then it is a GEGLU; the published xAR networks use that).

    Source:
        Shazeer 2020, arXiv:2002.05202, Eq. 6.

    Args:
        dim: Size of input and output.
        hidden_dim: Size of the gated hidden state.
        gate: ``"silu"`` or ``"gelu"``.
        bias: Whether the three linear maps have a bias.
        dropout: Dropout after the output map.

    Shape:
        ``(..., dim)`` to ``(..., dim)``.

    Range:
        Zero at a zero input when there is no bias.

    Gradient:
        Flows to the input and all three maps.

    Raises:
        ValueError: an unknown ``gate``, a size below 1, or ``dropout`` outside ``[0, 1)``.

    Example:
        >>> import torch
        >>> SwiGLU(8, 16)(torch.zeros(2, 8)).abs().sum().item()
        0.0
    """

    def __init__(
        self, dim: int, hidden_dim: int, *, gate: Gate = "silu", bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_choice("gate", gate, get_args(Gate))
        check_share("dropout", dropout)
        if dim < 1 or hidden_dim < 1:
            raise ValueError(f"dim and hidden_dim must be >= 1, got {dim} and {hidden_dim}")
        self.gate_proj = nn.Linear(dim, hidden_dim, bias=bias)
        self.value_proj = nn.Linear(dim, hidden_dim, bias=bias)
        self.out_proj = nn.Linear(hidden_dim, dim, bias=bias)
        self.activation = F.silu if gate == "silu" else F.gelu
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.dropout(self.out_proj(self.activation(self.gate_proj(x)) * self.value_proj(x)))
        return out
