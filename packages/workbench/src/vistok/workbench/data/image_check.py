"""Whether a batch of images fits a tokenizer."""

from torch import Tensor


def check_images(images: Tensor, *, channels: int, stride: int) -> None:
    """Raise unless ``images`` are ``(B, channels, H, W)`` with sides divisible by ``stride``.

    Raises:
        ValueError: They are not; the message names the nearest sides that would fit.

    Example:
        >>> import torch
        >>> check_images(torch.zeros(1, 3, 30, 32), channels=3, stride=4)
        Traceback (most recent call last):
        ...
        ValueError: images: expected sides divisible by 4, got 30x32; 32x32 would fit
    """
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images: expected (B, {channels}, H, W), got {tuple(images.shape)}")
    height, width = images.shape[-2:]
    if height % stride or width % stride or not height or not width:
        fit = (max(stride, round(height / stride) * stride), max(stride, round(width / stride) * stride))
        raise ValueError(
            f"images: expected sides divisible by {stride}, got {height}x{width}; {fit[0]}x{fit[1]} would fit"
        )
