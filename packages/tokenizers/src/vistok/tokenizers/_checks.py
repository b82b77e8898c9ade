"""Checks of what a caller passes in: one line that names the argument, what was expected and what came."""

from collections.abc import Mapping, Sequence

from torch import Tensor


def check_sizes(owner: str, sizes: Mapping[str, int | Sequence[int]]) -> None:
    """Raise ``ValueError`` unless every size is at least 1, and every sequence has one."""
    wrong = [f"{name}={size}" for name, size in sizes.items() if _smallest(size) < 1]
    if wrong:
        raise ValueError(f"{owner}: expected sizes of at least 1, got {', '.join(wrong)}")


def check_images(images: Tensor, stride: int, channels: int = 3) -> None:
    """Raise ``ValueError`` unless ``images`` are ``(B, channels, H, W)`` with sides divisible by ``stride``."""
    sides = images.shape[-2:]
    if images.ndim != 4 or images.shape[1] != channels or any(side % stride or not side for side in sides):
        expected = f"(B, {channels}, H, W) with sides divisible by {stride}"
        raise ValueError(f"images: expected {expected}, got {tuple(images.shape)}")


def check_channel_dim(owner: str, found: int, expected: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless the quantizer's ``channel_dim`` is one of two that mean the same."""
    if found not in expected:
        raise ValueError(f"{owner}: quantizer: expected channel_dim {expected[0]} or {expected[1]}, got {found}")


def _smallest(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else min(size, default=0)
