"""From the bytes of an image file to its pixels, whatever the file is."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

#: Pillow warns of larger images, and refuses those of twice as many pixels.
MAX_PIXELS = 89_478_485
LARGEST_MAX_PIXELS = 2 * MAX_PIXELS

_PROGRAMS = frozenset(("EPS", "WMF"))  # formats that other programs would be started for
_UP_TO_65535 = frozenset(("PNG", "PPM"))  # formats of whose images in mode I Pillow gives values up to that
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF, which Pillow heeds for 8 bits alone


def open_image(
    source: bytes | str | Path, *, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> "Image.Image":
    """One image file, RGB, upright, transparency on white, grey of 12 or 16 bits scaled to 8, decoded.

    Args:
        source: The content of an image file, or its path.
        max_pixels: Images of more pixels are refused before they are decoded.
        least_side: Where a JPEG's sides are at least twice, four or eight times as long, it is decoded at a half, a
            quarter or an eighth (Pillow's ``draft``): several times faster, and not the pixels that averaging gives.

    Raises:
        ValueError: The image cannot be read, or has signed values or 32 bits a channel, which do not say what is white;
            the message starts with the reason.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            if opened.width * opened.height > max_pixels:
                raise ValueError(f"{opened.width} x {opened.height} pixels are more than max_pixels={max_pixels}")
            if opened.format in _PROGRAMS:
                raise ValueError(f"{opened.format} is no format of pixels")
            if least_side is not None:
                opened.draft("RGB", (least_side, least_side))
            opened.load()
            ImageOps.exif_transpose(opened, in_place=True)
            return _to_rgb(opened)
    except Exception as error:  # decoders raise what they like: RuntimeError, struct.error, MemoryError
        raise _unreadable(error) from error


def image_shape(source: bytes | str | Path) -> tuple[int, int]:
    """Width and height of one image file, from its header.

    Raises:
        ValueError: The header cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            return opened.size
    except Exception as error:
        raise _unreadable(error) from error


def image_to_tensor(image: "Image.Image") -> Tensor:
    """Pixels ``(C, H, W)``, uint8, of an image in RGB or grey."""
    import numpy as np

    pixels = np.array(image)
    return torch.from_numpy(pixels[..., None] if pixels.ndim == 2 else pixels).permute(2, 0, 1).contiguous()


def tensor_to_image(pixels: Tensor) -> "Image.Image":
    """The image of pixels ``(1 or 3, H, W)``, uint8."""
    from PIL import Image

    return Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).contiguous().numpy())


def _unreadable(error: Exception) -> ValueError:
    from PIL import UnidentifiedImageError

    text = " ".join(str(error).split())[:200]
    reason = "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its own text names an object in memory
        reason = "the file is no image of a known format"
    return ValueError(f"unreadable image: {reason}")


def _to_rgb(image: "Image.Image") -> "Image.Image":
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _UP_TO_65535):
        # convert() would clip 16-bit values instead of scaling them
        values, transparent, tags = np.asarray(image), image.info.get("transparency"), getattr(image, "tag_v2", {})
        grey = values >> tags.get(_BITS, (16,))[0] - 8
        grey = 255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey
        image = Image.fromarray(np.where(values == transparent, 255, grey).astype(np.uint8))
    elif image.mode in ("I", "F"):  # nothing says which value is white
        got = f"{image.format} in mode {image.mode}, of signed values or 32 bits"
        raise ValueError(f"expected 8 or 16 bits a channel, got {got}")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")
