"""Images to rows of patches and back, and where the patches are."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vistok.generators.layers.rotary import rotary_table_2d
from vistok.tokenizers._checks import check_sizes


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches, each a row of numbers.

    Args:
        images: ``(B, C, H, W)``, sides divisible by ``patch_size``.
        patch_size: Side of a patch.

    Returns:
        ``(B, h w, C patch_size^2)``: patches row by row; in each, channel after channel.

    Raises:
        ValueError: The patches are of no size, or the images have another number of dimensions or sides that do not
            divide.

    Example:
        >>> import torch
        >>> patchify(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, :2]
        tensor([[0., 1., 4., 5.],
                [2., 3., 6., 7.]])
    """
    check_sizes("patchify", {"patch_size": patch_size})
    if images.ndim != 4 or images.shape[-2] % patch_size or images.shape[-1] % patch_size:
        expected = f"(B, C, H, W) with sides divisible by {patch_size}"
        raise ValueError(f"images: expected {expected}, got {tuple(images.shape)}")
    return rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch_size, q=patch_size)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Put patches together again: the inverse of :func:`patchify`, on a ``grid`` of rows and columns.

    Raises:
        ValueError: The patches are of no size, there are others than the grid has, or their rows are of other lengths.
    """
    check_sizes("unpatchify", {"grid": grid, "patch_size": patch_size})
    count, pixels = grid[0] * grid[1], patch_size**2
    if patches.ndim != 3 or patches.shape[1] != count or patches.shape[2] % pixels:
        raise ValueError(f"patches: expected (B, {count}, C * {pixels}) for grid {grid}, got {tuple(patches.shape)}")
    return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=grid[0], p=patch_size, q=patch_size)


class PatchPositions(nn.Module):
    """Where patches are: a learned embedding to add to them, and the rotary table of their queries and keys.

    Source:
        Learned: Dosovitskiy et al. 2020 (ViT), arXiv:2010.11929, Section 3.1, interpolated as in its Section 3.2.
        Rotary: :func:`vistok.generators.rotary_table_2d`.

    Args:
        grid_size: Side of the square of patches that the embedding is learned for.
        width: Channels of the embedding.
        num_heads: Attention heads, dividing ``width``; the channels of one must be a multiple of 4.

    Shape:
        - grid: rows ``h`` and columns ``w``.
        - output: the embedding ``(1, h w, width)`` and the table of ``h w`` rows, both row by row. On another grid the
          embedding is interpolated (bicubic); the table has as many rows as asked for, with the same angles a step.

    Range:
        Real embedding, standard normal at the start; for the table see :func:`vistok.generators.rotary_table_2d`.

    Gradient:
        To the embedding; the table is constant.

    Raises:
        ValueError: A size is below 1; ``num_heads`` does not divide ``width``, or the channels of a head are no
            multiple of 4.

    Example:
        >>> positions, table = PatchPositions(4, 16, 2)((4, 6))
        >>> positions.shape, table.shape
        (torch.Size([1, 24, 16]), torch.Size([24, 4, 2]))
    """

    def __init__(self, grid_size: int, width: int, num_heads: int) -> None:
        super().__init__()
        check_sizes("PatchPositions", {"grid_size": grid_size, "width": width, "num_heads": num_heads})
        if width % num_heads:
            raise ValueError(f"num_heads must divide width, got {num_heads} and {width}")
        self.head_dim = width // num_heads
        self.learned = nn.Parameter(torch.randn(1, width, grid_size, grid_size))
        self.register_buffer("table", rotary_table_2d((grid_size, grid_size), self.head_dim), persistent=False)
        self.table: Tensor

    def forward(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the embedding and the table of a grid."""
        positions: Tensor = self.learned
        table = self.table
        if positions.shape[-2:] != grid:
            positions = F.interpolate(positions, size=grid, mode="bicubic", align_corners=False)
            table = rotary_table_2d(grid, self.head_dim).to(table.device)
        return positions.flatten(2).transpose(1, 2), table
