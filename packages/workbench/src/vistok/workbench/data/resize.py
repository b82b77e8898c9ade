"""From the bytes of an image file to pixels of the size asked for."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor


def resize_and_crop(image: Image.Image, image_size: int) -> Image.Image:
    """Centre crop of ``image_size`` pixels a side after the shorter side was brought to that length.

    Halves the image with a box filter while its shorter side is at least twice as long as asked, then resizes it
    bicubically, then crops. Both sides of a comparison must go through the same resizing: other filters shift Frechet
    distances visibly.

    Source:
        The centre crop of Dhariwal and Nichol 2021 (ADM), arXiv:2105.05233, which published ImageNet numbers share.
    """
    while min(image.size) >= 2 * image_size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = image_size / min(image.size)
    size = (max(image_size, round(image.width * scale)), max(image_size, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - image_size) // 2, (image.height - image_size) // 2
    return image.crop((left, top, left + image_size, top + image_size))


def decode_image(source: bytes | str | Path, image_size: int) -> Tensor:
    """Pixels of one image file, RGB, upright, transparency on white, resized and cropped.

    Args:
        source: The content of an image file, or its path.
        image_size: Pixels a side.

    Shape:
        - pixels: ``(3, image_size, image_size)``, uint8.

    Raises:
        ValueError: The image cannot be read; the message starts with the reason.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            opened.load()
            image = _to_rgb(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise ValueError(f"unreadable image: {reason}") from error
    return torch.from_numpy(np.array(resize_and_crop(image, image_size))).permute(2, 0, 1).contiguous()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip 16-bit values instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")
