"""8-bit pixels to and from the value range that networks see."""

import torch
from torch import Tensor

#: Reconstructions overshoot [-1, 1] a little; values beyond this are 8-bit pixels passed as floats.
LARGEST_PLAUSIBLE_VALUE = 16.0


def from_uint8(pixels: Tensor) -> Tensor:
    """Float32 images in ``[-1, 1]`` of 8-bit ``pixels``: ``pixel / 127.5 - 1``.

    Raises:
        TypeError: Pixels are not uint8.

    Example:
        >>> from_uint8(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        [-1.0, 1.0]
    """
    if pixels.dtype != torch.uint8:
        raise TypeError(f"pixels: expected uint8, got {pixels.dtype}")
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Rounded and clipped 8-bit pixels of images in ``[-1, 1]``; 8-bit pixels come back as they are.

    Inverts :func:`from_uint8` exactly.

    Raises:
        TypeError: Images are neither of a float dtype nor uint8.
        ValueError: Values are not finite, or so far beyond ``[-1, 1]`` that they cannot be meant (8-bit values as
            floats).

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0, 1.2])).tolist()
        [0, 128, 255, 255]
    """
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise TypeError(f"images must be uint8 or of a float dtype, got {images.dtype}")
    images = images.detach().float()
    if images.numel() and not bool((images.abs() <= LARGEST_PLAUSIBLE_VALUE).all()):
        raise ValueError(f"images must lie in [-1, 1], got values up to {float(images.abs().max()):g}")
    return ((images + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
