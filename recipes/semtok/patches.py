"""Images to rows of patches and back, and where the patches are."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vistok.generators import rotary_table_2d


def to_patches(images: Tensor, patch_size: int) -> Tensor:
    """``(B, C, H, W)`` to ``(B, h w, C p p)``, row-major."""
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch_size, q=patch_size)


def to_images(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Inverse of :func:`to_patches`."""
    return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=grid[0], p=patch_size, q=patch_size)


class PatchPositions(nn.Module):
    """Learned positions of the patches (interpolated to other grids) and their rotary table."""

    def __init__(self, grid_size: int, width: int, num_heads: int) -> None:
        super().__init__()
        self.head_dim = width // num_heads
        self.learned = nn.Parameter(torch.randn(1, width, grid_size, grid_size))
        self.register_buffer("table", rotary_table_2d((grid_size, grid_size), self.head_dim), persistent=False)
        self.table: Tensor

    def forward(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Positions ``(1, h w, width)`` and the table of ``h w`` rows."""
        positions: Tensor = self.learned
        table = self.table
        if positions.shape[-2:] != grid:
            positions = F.interpolate(positions, size=grid, mode="bicubic", align_corners=False)
            table = rotary_table_2d(grid, self.head_dim).to(table.device)
        return positions.flatten(2).transpose(1, 2), table
