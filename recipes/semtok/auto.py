"""A configuration for images that nobody has described: sizes that fit them, the rest as for small drawings."""

from __future__ import annotations

from typing import Any

from vistok.workbench.data import SourceDescription

BASE = "emoji64"
_LARGEST_GRID = 16
_HEADS = 4


def auto_values(images: SourceDescription, image_size: int) -> dict[str, Any]:
    """What differs from the configuration :data:`BASE` for these images at this size.

    Patches are the smallest of at least 4 pixels a side that divide the image into at most 16 x 16; the decoder is wide
    enough for a patch's values to pass.

    Args:
        images: What the source holds.
        image_size: Pixels a side.

    Returns:
        Dotted keys and values, for :func:`semtok.config.load`.

    Example:
        >>> values = auto_values(SourceDescription(3, 500, 9, 64), 128)
        >>> values["tokenizer.patch_size"], values["tokenizer.decoder_width"]
        (8, 192)
    """
    divisors = [size for size in range(1, image_size + 1) if image_size % size == 0]
    patch = next(size for size in divisors if size >= 4 and image_size // size <= _LARGEST_GRID)
    step = 4 * _HEADS
    width = max(128, -(-images.channels * patch**2 // step) * step)
    return {
        "name": "semtok-auto",
        "data.image_size": image_size,
        "tokenizer.image_size": image_size,
        "tokenizer.image_channels": images.channels,
        "tokenizer.patch_size": patch,
        "tokenizer.decoder_width": width,
    }
