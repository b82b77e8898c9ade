"""What is encoded of each image: views of a batch, by name."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

Variants = Mapping[str, Callable[[Tensor], Tensor]]
"""What is encoded of each image: views ``(B, C, H, W)`` of a batch, by name."""

UNFLIPPED: Variants = {"unflipped": lambda images: images}
FLIPS: Variants = {**UNFLIPPED, "flipped": lambda images: images.flip(-1)}


def ten_crop(image_size: int) -> Variants:
    """The centre and the four corners of larger images, ``image_size`` pixels a side, and those of the flipped images.

    Source:
        ``TenCrop`` of torchvision, as LlamaGen caches tokens of centre crops 1.1 (or 1.05) times as large, rounded
        down: 256 of 281 (268) pixels. The centre comes first here.

    Example:
        >>> import torch
        >>> list(ten_crop(2))[:2], ten_crop(2)["top right"](torch.arange(9.0).view(1, 1, 3, 3)).flatten().tolist()
        (['centre', 'top left'], [1.0, 2.0, 4.0, 5.0])
    """
    places = {"centre": (None, None), "top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0)}
    places["bottom right"] = (1, 1)
    cuts = {name: partial(_cut, image_size=image_size, place=place) for name, place in places.items()}
    return {**cuts, **{f"flipped, {name}": partial(_flipped, cut=cut) for name, cut in cuts.items()}}


def _cut(images: Tensor, *, image_size: int, place: tuple[int | None, int | None]) -> Tensor:
    """A square at the start (0), the end (1) or the middle (``None``) of rows and of columns."""
    margins = (images.shape[-2] - image_size, images.shape[-1] - image_size)
    # An odd margin of the middle is halved to the even number.
    top, left = (round(m / 2) if side is None else side * m for side, m in zip(place, margins, strict=True))
    return images[..., top : top + image_size, left : left + image_size]


def _flipped(images: Tensor, *, cut: Callable[[Tensor], Tensor]) -> Tensor:
    return cut(images.flip(-1))
