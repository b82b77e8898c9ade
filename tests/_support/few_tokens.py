"""A few small images with tokens of two books, and a decoder that paints what the tokens say."""

import torch
from torch import Tensor

from vistok.workbench.data import ImageSet

GRID = 2
SIDE = 4  # pixels of an image


def few_images(count: int = 6, channels: int = 1, side: int = SIDE) -> ImageSet:
    """Random pixels in three classes."""
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, channels, side, side), generator=draws, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 3, ("<none>", "one", "two"), "few", attribution="drawn by chance")


def few_tokens(count: int = 6, codes: int = 5, seed: int = 1) -> Tensor:
    """Tokens ``(count, 2, 2)`` of so many codes."""
    return torch.randint(0, codes, (count, GRID, GRID), generator=torch.Generator().manual_seed(seed))


def few_codes(count: int = 5, seed: int = 2) -> Tensor:
    """Codes ``(count, 3)``."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def painted(tokens: list[Tensor]) -> Tensor:
    """Images ``(B, 1, 4, 4)`` whose patches are as bright as the first book's tokens, and a little the others'."""
    bright = sum(each.float() * 0.3**index for index, each in enumerate(tokens)) / 10 - 0.9
    return bright[:, None].repeat_interleave(SIDE // GRID, 2).repeat_interleave(SIDE // GRID, 3)
