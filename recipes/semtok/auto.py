"""A configuration for images that nobody has described: sizes that fit them, the rest as for small drawings."""

from typing import Any

from vistok.workbench.data import SourceDescription

BASE = "emoji64"
_HEAD_WIDTH = 32


def auto_values(images: SourceDescription, image_size: int) -> dict[str, Any]:
    """What differs from the configuration :data:`BASE` for these images at this size.

    Patches are the smallest of at least 4 pixels a side that divide the image into at most 8 x 8, or 16 x 16 where it
    is larger than 64 pixels; the decoder is wide enough for a patch's values to pass.

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
    largest_grid = 8 if image_size <= 64 else 16
    patch = next(size for size in divisors if size >= 4 and image_size // size <= largest_grid)
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
        "train.batch_size": batch,
        "train_refiner.batch_size": batch,
    }
