"""A configuration for images that nobody has described: sizes that fit them, the rest as for small drawings."""

from typing import Any

from vistok.workbench.data import SourceDescription
from vistok.workbench.sides import token_stride

BASE = "emoji64"
_LARGEST_STRIDE = 16
_SMALLEST_GRID = 8
_VECTORS_A_CODE = 8  # of the teacher's features, so that k-means has something to average
_TWO_LAYERS = 12  # pixels a side from which a PatchGAN of two layers with stride 2 has a logit
_MULTIPLIERS = ((1,), (1, 2), (1, 2, 4), (1, 1, 2, 4), (1, 1, 2, 2, 4))  # by the number of halvings


def auto_values(images: SourceDescription, image_size: int) -> dict[str, Any]:
    """What differs from the configuration :data:`BASE` for these images at this size.

    The grid has 8 to 15 tokens a side, as far as halvings allow, and large images have few channels where they are
    large, so that a step costs about the same at every size. The codebooks are as large as the images can feed.

    Args:
        images: What the source holds.
        image_size: Pixels a side.

    Raises:
        ConfigError: The grid would have more than twice as many tokens a side as halvings of this size could give.

    Returns:
        Dotted keys and values, for :func:`glotok.config.load`.

    Example:
        >>> values = auto_values(SourceDescription(3, 500, 9, 64), 64)
        >>> values["tokenizer.multipliers"], values["tokenizer.semantic_codebook_size"]
        ((1, 1, 2, 4), 512)
    """
    stride = token_stride(image_size, largest=_LARGEST_STRIDE, smallest_grid=_SMALLEST_GRID)
    halvings = stride.bit_length() - 1
    grid = image_size // stride
    teacher_images = min(images.num_images, 1000)
    codes = 16
    while codes < 1024 and 2 * codes * _VECTORS_A_CODE <= teacher_images * 16:
        codes *= 2
    batch = 32 if image_size <= 32 else 16 if image_size <= 64 else 8
    steps = 1200 if batch == 32 else 1800
    return {
        "name": "auto",
        "data.image_size": image_size,
        "teacher.num_images": teacher_images,
        "tokenizer.image_size": image_size,
        "tokenizer.image_channels": images.channels,
        **({} if images.channels == 3 else {"losses.chroma_weight": 0.0}),
        "tokenizer.multipliers": _MULTIPLIERS[halvings],
        "tokenizer.semantic_codebook_size": codes,
        "tokenizer.visual_codebook_size": codes,
        "discriminator.num_layers": 1 if image_size < _TWO_LAYERS else 2,
        "losses.discriminator_start": steps * 3 // 4,
        "train.steps": steps,
        "train.batch_size": batch,
        "generators.xar.cell_size": next(size for size in (4, 5, 3, 2, 1) if grid % size == 0),
    }
