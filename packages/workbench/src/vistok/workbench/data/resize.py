"""From the bytes of an image file to pixels of the size asked for."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

#: Pillow warns of larger images, and refuses those of twice as many pixels.
MAX_PIXELS = 89_478_485
LARGEST_MAX_PIXELS = 2 * MAX_PIXELS

# A random crop sees at least this share of the image's shorter side.
_LEAST_CROP = 0.8
# Longer sides are cut to this many times the shorter one before anything is resized: no ordinary image is affected.
_LONGEST_SIDE = 8
_LONGEST_KEPT_SIDE = 2
_PROGRAMS = frozenset(("EPS", "WMF"))  # formats that other programs would be started for


def resize_and_crop(image: Image.Image, image_size: int) -> Image.Image:
    """Centre crop of ``image_size`` pixels a side after the shorter side was brought to that length.

    Halves the image with a box filter while its shorter side is at least twice as long as asked, then resizes it
    bicubically, then crops. Both sides of a comparison must go through the same resizing: other filters shift Frechet
    distances visibly. What lies beyond eight times the shorter side is cut off first, so that no small file becomes a
    huge image.

    Source:
        The centre crop of Dhariwal and Nichol 2021 (ADM), arXiv:2105.05233, which published ImageNet numbers share.
    """
    return _centre(_resize_shorter_side(image, image_size), image_size, image_size)


def decode_image(source: bytes | str | Path, image_size: int, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Pixels of one image file, RGB, upright, transparency on white, resized and cropped.

    Args:
        source: The content of an image file, or its path.
        image_size: Pixels a side.
        max_pixels: Images of more pixels are refused before they are decoded.

    Shape:
        - pixels: ``(3, image_size, image_size)``, uint8.

    Raises:
        ValueError: The image cannot be read; the message starts with the reason.
    """
    return _to_tensor(resize_and_crop(_open(source, max_pixels), image_size))


def decode_for_crops(source: bytes | str | Path, image_size: int, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """As much of one image as :func:`random_crop` can show: its shorter side is ``image_size / 0.8`` rounded up.

    An image that is smaller than that is not enlarged (but to ``image_size``), so it leaves crops less room or none.

    Shape:
        - pixels: ``(3, H, W)``, uint8, both sides at least ``image_size``, the longer up to twice the shorter.

    Raises:
        ValueError: As :func:`decode_image`.
    """
    image = _open(source, max_pixels)
    side = max(image_size, min(room_for_crops(image_size), *image.size))
    image = _resize_shorter_side(image, side)
    longest = _LONGEST_KEPT_SIDE * side
    return _to_tensor(_centre(image, min(image.width, longest), min(image.height, longest)))


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
    image = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy())
    box = (left * across, top * down, right, bottom)
    return _to_tensor(image.resize((image_size, image_size), Image.Resampling.BICUBIC, box=box))


def image_shape(source: bytes | str | Path) -> tuple[int, int]:
    """Width and height of one image file, from its header.

    Raises:
        ValueError: The header cannot be read.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            return opened.size
    except Exception as error:
        raise _unreadable(error) from error


def _open(source: bytes | str | Path, max_pixels: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.width * opened.height > max_pixels:
                raise ValueError(f"{opened.width} x {opened.height} pixels are more than max_pixels={max_pixels}")
            if opened.format in _PROGRAMS:
                raise ValueError(f"{opened.format} is no format of pixels")
            opened.load()
            return _to_rgb(ImageOps.exif_transpose(opened))
    except Exception as error:  # decoders raise what they like: RuntimeError, struct.error, MemoryError
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> ValueError:
    text = " ".join(str(error).split())[:200]
    reason = "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its own text names an object in memory
        reason = "the file is no image of a known format"
    return ValueError(f"unreadable image: {reason}")


def _resize_shorter_side(image: Image.Image, side: int) -> Image.Image:
    longest = _LONGEST_SIDE * min(image.size)
    if max(image.size) > longest:
        image = _centre(image, min(image.width, longest), min(image.height, longest))
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _to_tensor(image: Image.Image) -> Tensor:
    pixels = np.array(image)
    return torch.from_numpy(pixels[..., None] if pixels.ndim == 2 else pixels).permute(2, 0, 1).contiguous()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip 16-bit values instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
