"""The encoder: patches and learned queries in two streams that attend to each other; the queries become the tokens."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from semtok.patches import PatchPositions, to_patches
from vistok.generators import DoubleStreamBlock, rotary_table_1d


class Encoded(NamedTuple):
    """Both streams at the end: ``patches (B, h, w, width)``; ``features (B, N, L)``, not quantized yet."""

    patches: Tensor
    features: Tensor


class Encoder(nn.Module):
    """``(B, C, H, W)`` to :class:`Encoded`: any number of queries, whatever the number of patches."""

    def __init__(
        self, channels: int, grid_size: int, patch_size: int, num_tokens: int, bits: int,
        *, width: int, depth: int, num_heads: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch_size = patch_size
        self.embed = nn.Linear(channels * patch_size**2, width)
        self.positions = PatchPositions(grid_size, width, num_heads)
        # Small, so that what queries gather from the image is not drowned by what they are: bits stay alive.
        self.queries = nn.Parameter(0.02 * torch.randn(1, num_tokens, width))
        self.register_buffer("table", rotary_table_1d(num_tokens, width // num_heads), persistent=False)
        self.blocks = nn.ModuleList(DoubleStreamBlock(width, num_heads, conditioned=False) for _ in range(depth))
        self.patch_norm = nn.LayerNorm(width)
        self.query_norm = nn.LayerNorm(width)
        self.to_bits = nn.Linear(width, bits)
        self.table: Tensor

    def forward(self, images: Tensor) -> Encoded:
        """Encode."""
        grid = (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)
        positions, table = self.positions(grid)
        patches = self.embed(to_patches(images, self.patch_size)) + positions
        queries = self.queries.expand(len(images), -1, -1)
        for block in self.blocks:
            patches, queries = block(patches, queries, first_rotary=table, second_rotary=self.table)
        return Encoded(self.patch_norm(patches).unflatten(1, grid), self.to_bits(self.query_norm(queries)))
