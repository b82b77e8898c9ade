"""Predict what quantization lost."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.quantizers._rows import check_features, check_sizes

_MOST_TOKENS = 512  # up to which plain bfloat16 products on a CPU are faster than its kernels


class ResidualRecovery(nn.Module):
    r"""Predict the residual of a grid of codes with one transformer block.

    .. math::
        r = W_{out}\, \mathrm{LN}(\mathrm{Block}(W_{in}\, q + p)), \qquad \hat z = q + r

    ``Block`` is pre-norm self-attention and a GELU MLP over all positions, ``p`` are learned positions. ``W_out``
    starts at zero, so training starts from the plain quantizer. The module returns ``r``; the caller adds it.

    Source:
        GloTok, Sec. 3.3, Eq. 8, 9, 11 and 12 (one transformer block). The paper does not give its size: one block
        at 8 channels would be degenerate, so the block works at ``width`` between two linear layers.

    Args:
        code_dim: Channels of a code.
        grid: ``(height, width)`` of the code grid that the positions are learned for; they are interpolated
            (bicubic) to any other.
        width: Channels inside the block.
        heads: Attention heads; divides ``width``.
        mlp_ratio: Hidden channels of the MLP over ``width``.

    Shape:
        - quantized: ``(B, code_dim, h, w)``, any float dtype.
        - residual: the same shape, dtype of the input.

    Range:
        Real; exactly 0 right after construction.

    Gradient:
        To the input and to all parameters. Right after construction only the last layer receives a gradient.

    Raises:
        ValueError: sizes below 1, ``grid`` is no pair or ``heads`` does not divide ``width`` (at construction); the
            input is not four-dimensional or has other channels (at call).
        TypeError: the input is not floating point.

    Distributed:
        No collectives.

    Example:
        >>> import torch
        >>> recover = ResidualRecovery(8, (4, 4), width=32, heads=4)
        >>> recover(torch.randn(2, 8, 4, 4)).abs().max().item()
        0.0
    """

    def __init__(
        self, code_dim: int, grid: tuple[int, int], *, width: int = 256, heads: int = 8, mlp_ratio: int = 4
    ) -> None:
        super().__init__()
        if not isinstance(grid, Sequence) or len(grid) != 2:
            raise ValueError(f"ResidualRecovery: grid must be (height, width), got {grid!r}")
        sizes = {"code_dim": code_dim, "grid[0]": grid[0], "grid[1]": grid[1], "width": width, "heads": heads}
        check_sizes("ResidualRecovery", {**sizes, "mlp_ratio": mlp_ratio})
        if width % heads:
            raise ValueError(f"ResidualRecovery: heads must divide width={width}, got {heads}")
        self.code_dim, self.grid, self.heads = code_dim, (grid[0], grid[1]), heads
        self.project_in = nn.Linear(code_dim, width)
        self.positions = nn.Parameter(torch.empty(grid[0] * grid[1], width).normal_(std=0.02))
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))
        self.norm_out = nn.LayerNorm(width)
        self.project_out = nn.Linear(width, code_dim)
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, quantized: Tensor) -> Tensor:
        """Return the predicted residual of ``quantized``."""
        check_features(quantized, 1, self.code_dim, "ResidualRecovery")
        if quantized.ndim != 4:
            raise ValueError(f"ResidualRecovery: expected (B, {self.code_dim}, h, w), got {tuple(quantized.shape)}")
        tokens = quantized.flatten(2).transpose(1, 2).to(self.project_in.weight.dtype)
        x = self.project_in(tokens) + self._positions_of(quantized.shape[2:])
        x = x + self._attend(self.norm_attention(x))
        x = x + self.mlp(self.norm_mlp(x))
        residual: Tensor = self.project_out(self.norm_out(x))
        return residual.transpose(1, 2).reshape(quantized.shape).to(quantized.dtype)

    def _positions_of(self, grid: torch.Size) -> Tensor:
        if tuple(grid) == self.grid:
            return self.positions
        table = self.positions.t().unflatten(1, self.grid).unsqueeze(0)
        return F.interpolate(table, size=tuple(grid), mode="bicubic", align_corners=False).flatten(2)[0].t()

    def _attend(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if q.device.type == "cpu" and q.dtype == torch.bfloat16 and tokens <= _MOST_TOKENS:
            mixed = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(dim=-1) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out
