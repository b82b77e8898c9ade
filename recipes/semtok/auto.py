"""A configuration for images that nobody has described: sizes that fit them, the rest as for small drawings."""

from typing import Any

from vistok.workbench.data import SourceDescription
from vistok.workbench.sides import check_side

BASE = "emoji64"
_HEAD_WIDTH = 32
_SMALLEST_PATCH = 4
_TWO_LAYERS = 12  # pixels a side from which a PatchGAN of two layers with stride 2 has a logit


def auto_values(images: SourceDescription, image_size: int) -> dict[str, Any]:
    """What differs from the configuration :data:`BASE` for these images at this size.

    Patches are the smallest of at least 4 pixels a side that divide the image into at most 8 x 8, or 16 x 16 where it
    is larger than 64 pixels, and at most half as large again; the decoder is wide enough for a patch's values to pass.

    Args:
        images: What the source holds.
        image_size: Pixels a side.

    Raises:
        ConfigError: No such patches divide the image.

    Returns:
        Dotted keys and values, for :func:`semtok.config.load`.

    Example:
        >>> values = auto_values(SourceDescription(3, 500, 9, 64), 128)
        >>> values["tokenizer.patch_size"], values["tokenizer.decoder_width"]
        (8, 192)
    """
    least, largest = _patch_sizes(image_size)
    check_side(image_size, lambda side: _patch(side) > 0, f"a side that patches of {least} to {largest} pixels divide")
    patch = _patch(image_size)
    heads = max(4, -(-images.channels * patch**2 // _HEAD_WIDTH))
    batch = 32 if image_size <= 32 else 16 if image_size <= 64 else 8
    return {
        "name": "semtok-auto",
        "data.image_size": image_size,
        "tokenizer.image_size": image_size,
        "tokenizer.image_channels": images.channels,
        "tokenizer.patch_size": patch,
        "tokenizer.num_tokens": 32 if image_size <= 32 else 64,
        "tokenizer.decoder_width": heads * _HEAD_WIDTH,
        "tokenizer.decoder_heads": heads,
        "discriminator.num_layers": 1 if image_size < _TWO_LAYERS else 2,
        "train.batch_size": batch,
        "train_refiner.batch_size": batch,
    }


def _patch_sizes(image_size: int) -> tuple[int, int]:
    """Pixels a side below which patches are too small or too many, and above which they are too large."""
    least = max(_SMALLEST_PATCH, -(-image_size // (8 if image_size <= 64 else 16)))
    return least, least * 3 // 2


def _patch(image_size: int) -> int:
    """The smallest patches that divide the image into several; 0 where there are none of a size that fits."""
    least, largest = _patch_sizes(image_size)
    return next((size for size in range(least, largest + 1) if image_size % size == 0 and image_size > size), 0)
