"""How published numbers bring an image to a square of one size; other filters shift every distance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vistok.metrics.images.decoding import image_to_tensor, tensor_to_image

if TYPE_CHECKING:
    from PIL import Image

# Longer sides are cut to this many times the shorter one before anything is resized: no ordinary image is affected.
_LONGEST_SIDE = 8


def adm_crop(image: "Image.Image", image_size: int) -> "Image.Image":
    """Centre crop of ``image_size`` pixels a side after the shorter side was brought to that length.

    Halves the image with a box filter while its shorter side is at least twice as long as asked, then resizes it
    bicubically, then crops. Both sides of a comparison must go through the same resizing: other filters shift Frechet
    distances visibly. What lies beyond eight times the shorter side is cut off first, so that no small file becomes a
    huge image.

    Source:
        The centre crop of Dhariwal and Nichol 2021 (ADM), arXiv:2105.05233, ``center_crop_arr`` of guided-diffusion,
        which published ImageNet numbers share; equal to it to the bit for sides of up to 8:1.

    Args:
        image: A Pillow image, RGB or grey.
        image_size: Pixels a side.

    Example:
        >>> from PIL import Image
        >>> adm_crop(Image.new("RGB", (100, 60)), 32).size
        (32, 32)
    """
    return cut_centre(resize_as_adm(image, image_size), image_size, image_size)


def centre_crop(image: "Image.Image", image_size: int) -> "Image.Image":
    """Centre crop of ``image_size`` pixels a side of the image whose shorter side was resized to that, bicubically.

    One pass of Pillow's bicubic filter, whose support grows with the reduction. What lies beyond eight times the
    shorter side is cut off first, as in :func:`adm_crop`.

    Source:
        ``Resize(size, BICUBIC)`` and ``CenterCrop(size)`` of torchvision on Pillow images, as 1d-tokenizer evaluates:
        the longer side is rounded down, the margin to the nearest even number where it is halved; equal to it to the
        bit for sides of up to 8:1.

    Args:
        image: A Pillow image, RGB or grey.
        image_size: Pixels a side.

    Example:
        >>> from PIL import Image
        >>> centre_crop(Image.new("RGB", (100, 60)), 32).size
        (32, 32)
    """
    from PIL import Image

    image = _without_far_ends(image)
    shorter, longer = min(image.size), max(image.size)
    long_side = int(image_size * longer / shorter)
    size = (image_size, long_side) if image.width <= image.height else (long_side, image_size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - image_size) / 2.0) for length in image.size)
    return image.crop((left, top, left + image_size, top + image_size))


def resize_as_adm(image: "Image.Image", side: int) -> "Image.Image":
    """Bring the shorter side to ``side`` as :func:`adm_crop` does, without its crop."""
    from PIL import Image

    image = _without_far_ends(image)
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    size = adm_size(image.size, side)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def adm_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of an image whose shorter side was brought to ``side``."""
    scale = side / min(size)
    return max(side, round(size[0] * scale)), max(side, round(size[1] * scale))


def cut_centre(image: "Image.Image", width: int, height: int) -> "Image.Image":
    """The middle of an image; an odd margin is larger on the right and below."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _without_far_ends(image: "Image.Image") -> "Image.Image":
    longest = _LONGEST_SIDE * min(image.size)
    if max(image.size) <= longest:
        return image
    return cut_centre(image, min(image.width, longest), min(image.height, longest))


_CROPS = {
    "adm": (adm_crop, "ADM centre crop", "box by halves while twice the size, then bicubic (Pillow)"),
    "centre": (centre_crop, "shorter side resized, then centre crop", "bicubic (Pillow)"),
}


class Crop:
    """What every image of a source goes through: one of the crops to one size, or nothing.

    Args:
        kind: ``"adm"`` for :func:`adm_crop`, ``"centre"`` for :func:`centre_crop`, ``"none"``.
        image_size: Pixels a side; needed for the first two.

    Raises:
        ValueError: There is no such crop, a size is missing or below 1, or one is given for ``"none"``.
    """

    def __init__(self, kind: str, image_size: int | None) -> None:
        if kind not in (*_CROPS, "none"):
            raise ValueError(f"crop must be 'adm', 'centre' or 'none', got {kind!r}")
        if (image_size is None) != (kind == "none"):
            wanted = "needs an image_size" if image_size is None else f"takes no image_size, got {image_size}"
            raise ValueError(f"crop {kind!r} {wanted}")
        if image_size is not None and image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {image_size}")
        self.kind, self.image_size = kind, image_size

    def __call__(self, image: "Image.Image") -> "Image.Image":
        """The image after it."""
        if self.image_size is None:
            return image
        return _CROPS[self.kind][0](image, self.image_size)

    def pixels(self, images: Tensor) -> Tensor:
        """Pixels ``(B, 1 or 3, H, W)``, uint8, after it."""
        if self.image_size is None or tuple(images.shape[2:]) == (self.image_size, self.image_size):
            return images
        return torch.stack([image_to_tensor(self(tensor_to_image(pixels))) for pixels in images.cpu()])

    def describe(self, count: int, shape: Sequence[int]) -> dict[str, str]:
        """What an evaluation writes down of so many images that have this shape ``(C, H, W)`` after it."""
        _, name, filters = _CROPS.get(self.kind, (None, "none", "none"))
        channels, height, width = shape
        return {
            "count": str(count),
            "size": f"{width} x {height}",
            "channels": str(channels),
            "crop": name,
            "filter": filters,
        }
