"""Checks of what a caller passes in: one line that names the argument, what was expected and what came."""

from torch import Tensor


def check_images(images: Tensor, stride: int) -> None:
    """Raise ``ValueError`` unless ``images`` are ``(B, 3, H, W)`` with sides divisible by ``stride``."""
    sides = images.shape[-2:]
    if images.ndim != 4 or images.shape[1] != 3 or any(side % stride or not side for side in sides):
        expected = f"(B, 3, H, W) with sides divisible by {stride}"
        raise ValueError(f"images: expected {expected}, got {tuple(images.shape)}")
