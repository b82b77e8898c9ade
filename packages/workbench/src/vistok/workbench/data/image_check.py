"""Whether a batch of images fits a tokenizer."""

import torch
from torch import Tensor

from vistok.metrics.pixels import LARGEST_PLAUSIBLE_VALUE


def check_images(images: Tensor, *, channels: int, stride: int) -> None:
    """Raise unless ``images`` are floats ``(B, channels, H, W)`` with sides divisible by ``stride``.

    Raises:
        TypeError: They are no floats.
        ValueError: They are not; the message names the nearest sides that would fit.

    Example:
        >>> import torch
        >>> check_images(torch.zeros(1, 3, 30, 32), channels=3, stride=4)
        Traceback (most recent call last):
        ...
        ValueError: images: expected sides divisible by 4, got 30x32; 32x32 would fit
    """
    if not images.is_floating_point():
        raise TypeError(f"images: expected floats in [-1, 1], got {images.dtype}")
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images: expected (B, {channels}, H, W), got {tuple(images.shape)}")
    height, width = images.shape[-2:]
    if height % stride or width % stride or not height or not width:
        fit = (max(stride, round(height / stride) * stride), max(stride, round(width / stride) * stride))
        raise ValueError(
            f"images: expected sides divisible by {stride}, got {height}x{width}; {fit[0]}x{fit[1]} would fit"
        )


def check_values(images: Tensor) -> None:
    """Raise where ``images``, of a float dtype, hold values that cannot be meant: 8-bit ones as floats, or not finite.

    It waits for the device that they are on, so it is for whoever calls a tokenizer and not for a step of a training.
    Images without values, on the meta device or in a graph that is being made, are passed over.

    Raises:
        ValueError: A value is far beyond [-1, 1].

    Example:
        >>> check_values(torch.full((1, 3, 8, 8), 255.0))
        Traceback (most recent call last):
        ...
        ValueError: images: expected values in [-1, 1], got up to 255
    """
    if not images.is_floating_point() or images.is_meta or not images.numel() or torch.compiler.is_compiling():
        return
    largest = images.detach().abs().max()
    if not bool(largest <= LARGEST_PLAUSIBLE_VALUE):
        raise ValueError(f"images: expected values in [-1, 1], got up to {float(largest):g}")
