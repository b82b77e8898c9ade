"""From shared features to one codebook's space: FQGAN's adapter."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vistok.generators.layers.attention import attention
from vistok.tokenizers._checks import check_sizes
from vistok.tokenizers._normalisation import normalised_swish
from vistok.tokenizers.autoencoder import group_norm


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and MLP (x4). ``(B, N, C) -> (B, N, C)``."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"num_heads must divide width, got {num_heads} and {width}")
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Attend and transform, each added to its input."""
        q, k, v = rearrange(
            self.qkv(self.norm1(x)), "b n (three heads d) -> three b heads n d", three=3, heads=self.num_heads
        )
        attended = attention(q, k, v)
        x = x + self.out(rearrange(attended, "b heads n d -> b n (heads d)"))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Adapter(nn.Module):
    """Learned positions, transformer blocks, then GN-swish-conv and a 1x1 convolution to the code dimension.

    With ``depth=0`` only the convolutions are left: the end of VQGAN's encoder.

    Source:
        FQGAN, arXiv:2411.16681, the adapter before each codebook, in the form of the authors' code.

    Args:
        in_channels: Channels of the features; the width of the transformer blocks.
        hidden_channels: Channels between the two convolutions.
        code_dim: Channels of a code.
        grid_size: Side of the square of positions; they are interpolated (bicubic) to any other grid.
        depth: Transformer blocks.
        num_heads: Attention heads of a block, dividing ``in_channels``.

    Shape:
        - features: ``(B, in_channels, h, w)``.
        - output: ``(B, code_dim, h, w)``.

    Range:
        Real: what quantizes normalises where it has to.

    Gradient:
        To the features and to every parameter.

    Raises:
        ValueError: A size is below 1, or ``depth`` below 0; ``num_heads`` does not divide ``in_channels``, where there
            are blocks.

    Example:
        >>> import torch
        >>> adapter = Adapter(16, 32, 8, grid_size=4, depth=1, num_heads=2)
        >>> adapter(torch.zeros(2, 16, 4, 6)).shape
        torch.Size([2, 8, 4, 6])
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, code_dim: int, grid_size: int, *, depth: int, num_heads: int
    ) -> None:
        super().__init__()
        sizes = {"in_channels": in_channels, "hidden_channels": hidden_channels, "code_dim": code_dim}
        check_sizes("Adapter", {**sizes, "grid_size": grid_size})
        if depth < 0:
            raise ValueError(f"Adapter: expected a depth of at least 0, got {depth}")
        if depth:
            self.positions = nn.Parameter(0.02 * torch.randn(1, in_channels, grid_size, grid_size))
            self.norm_in = nn.LayerNorm(in_channels)
            self.blocks = nn.Sequential(*(TransformerBlock(in_channels, num_heads) for _ in range(depth)))
            self.norm_out = nn.LayerNorm(in_channels)
        self.depth = depth
        self.norm = group_norm(in_channels)
        self.conv = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
        self.to_code = nn.Conv2d(hidden_channels, code_dim, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map shared features to features before quantization."""
        x = features
        if self.depth:
            h, w = x.shape[-2:]
            positions: Tensor = self.positions
            if positions.shape[-2:] != (h, w):
                positions = F.interpolate(positions, size=(h, w), mode="bicubic", align_corners=False)
            tokens = rearrange(x + positions, "b c h w -> b (h w) c")
            tokens = self.norm_out(self.blocks(self.norm_in(tokens)))
            x = rearrange(tokens, "b (h w) c -> b c h w", h=h)
        return self.to_code(self.conv(normalised_swish(x, self.norm)))  # type: ignore[no-any-return]
