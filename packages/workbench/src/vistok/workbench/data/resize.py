"""From an image, or the bytes of its file, to pixels of the size asked for."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from vistok.metrics.images.crops import adm_crop, adm_size, cut_centre, resize_as_adm
from vistok.metrics.images.decoding import MAX_PIXELS, image_to_tensor, open_image, tensor_to_image

# A random crop sees at least this share of the image's shorter side.
_LEAST_CROP = 0.8
#: How many numbers say which part a random crop shows.
NUMBERS = 3
# What is kept for random crops is at most this many times as long as its shorter side.
_LONGEST_KEPT_SIDE = 2


def decode_image(
    source: bytes | str | Path | Image.Image, image_size: int, *, max_pixels: int = MAX_PIXELS, fast: bool = False
) -> Tensor:
    """Pixels of one image file, RGB, upright, transparency on white, cropped as :func:`vistok.metrics.adm_crop` does.

    Args:
        source: The content of an image file, its path, or an RGB image.
        image_size: Pixels a side.
        max_pixels: Images of more pixels are refused before they are decoded.
        fast: Decode a JPEG at a half, a quarter or an eighth of its sides where that is enough, and resize the centre
            alone: a pixel differs by 1 of 255 here and there, where nothing was halved.

    Shape:
        - pixels: ``(3, image_size, image_size)``, uint8.

    Raises:
        ValueError: The image cannot be read; the message starts with the reason.
    """
    image = _opened(source, max_pixels, image_size if fast else None)
    return image_to_tensor((_centre_alone if fast else adm_crop)(image, image_size))


def decode_for_crops(
    source: bytes | str | Path | Image.Image, image_size: int, *, max_pixels: int = MAX_PIXELS, fast: bool = False
) -> Tensor:
    """As much of one image as :func:`random_crop` can show: its shorter side is ``image_size / 0.8`` rounded up.

    An image that is smaller than that is not enlarged (but to ``image_size``), so it leaves crops less room or none.

    Shape:
        - pixels: ``(3, H, W)``, uint8, both sides at least ``image_size``, the longer up to twice the shorter.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    image = _opened(source, max_pixels, room_for_crops(image_size) if fast else None)
    side = max(image_size, min(room_for_crops(image_size), *image.size))
    image = resize_as_adm(image, side)
    longest = _LONGEST_KEPT_SIDE * side
    return image_to_tensor(cut_centre(image, min(image.width, longest), min(image.height, longest)))


def _centre_alone(image: Image.Image, image_size: int) -> Image.Image:
    """:func:`vistok.metrics.adm_crop` without the margins that it resizes and cuts off; where it halves, it itself."""
    shorter = min(image.size)
    if shorter >= 2 * image_size or max(image.size) > 2 * shorter or shorter == image_size:
        return adm_crop(image, image_size)
    whole = adm_size(image.size, image_size)
    scales = [length / resized for length, resized in zip(image.size, whole, strict=True)]
    left, top = ((resized - image_size) // 2 for resized in whole)
    box = (left * scales[0], top * scales[1], (left + image_size) * scales[0], (top + image_size) * scales[1])
    return image.resize((image_size, image_size), Image.Resampling.BICUBIC, box=box)


def decode_whole(
    source: bytes | str | Path | Image.Image, image_size: int, *, max_pixels: int = MAX_PIXELS, fast: bool = False
) -> Tensor:
    """All of one image, in its own size: what :func:`resized_crop` cuts from, whatever the size asked for.

    Shape:
        - pixels: ``(3, H, W)``, uint8.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    return image_to_tensor(_opened(source, max_pixels, None))


def _opened(source: bytes | str | Path | Image.Image, max_pixels: int, least_side: int | None) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    return open_image(source, max_pixels=max_pixels, least_side=least_side)


def room_for_crops(image_size: int) -> int:
    """Shorter side of the image that random crops of ``image_size`` are cut from."""
    return math.ceil(image_size / _LEAST_CROP)


def random_crop(pixels: Tensor, image_size: int, draw: Sequence[float]) -> Tensor:
    """A square part of an image at ``image_size`` pixels a side; ``draw`` says which.

    The image's shorter side is brought to a length between ``image_size`` and what it is; of the result, the square at
    a drawn place is taken.

    Source:
        The random crop of Dhariwal and Nichol 2021 (ADM), arXiv:2105.05233, with its smallest part of 0.8.

    Args:
        pixels: ``(C, H, W)``, uint8, from :func:`decode_for_crops`.
        image_size: Pixels a side, at most ``H`` and ``W``.
        draw: Three numbers in ``[0, 1)``: for the length, the row and the column.

    Shape:
        - crop: ``(C, image_size, image_size)``, uint8.
    """
    height, width = pixels.shape[1:]
    shorter = min(height, width)
    side = image_size + int(draw[0] * (shorter - image_size + 1))
    rows, columns = (round(length * side / shorter) for length in (height, width))
    top, left = (int(part * (length - image_size + 1)) for part, length in zip(draw[1:], (rows, columns), strict=True))
    if side == shorter:  # nothing to resize
        return pixels[:, top : top + image_size, left : left + image_size]
    across, down = width / columns, height / rows
    right, bottom = min(width, (left + image_size) * across), min(height, (top + image_size) * down)
    box = (left * across, top * down, right, bottom)
    return image_to_tensor(tensor_to_image(pixels).resize((image_size, image_size), Image.Resampling.BICUBIC, box=box))
