"""Both sides of a comparison as 8-bit pixels, a few images at a time."""

from collections.abc import Iterator

from torch import Tensor

from vistok.metrics._tensors import check_tensor
from vistok.metrics.pixels import to_uint8

# Values of each side converted at a time: what bounds the memory of every metric of pixels.
_BLOCK = 2**18


def pixel_pairs(images: Tensor, references: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of both sides as uint8, in order, after the checks that every such metric makes."""
    for name, side in (("images", images), ("references", references)):
        check_tensor(name, side)
    if images.shape != references.shape or images.ndim != 4 or 0 in images.shape[1:]:
        shapes = f"{tuple(images.shape)} and {tuple(references.shape)}"
        raise ValueError(f"images and references must both be the same (B, C, H, W), got {shapes}")
    size = max(1, _BLOCK // images.shape[1:].numel())
    for start in range(0, max(1, len(images)), size):
        yield to_uint8(images[start : start + size]), to_uint8(references[start : start + size])
