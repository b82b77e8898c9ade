"""Checks of what a caller passes in: one line that names the argument, what was expected and what came."""

from collections.abc import Mapping, Sequence

from torch import Tensor


def check_sizes(owner: str, sizes: Mapping[str, int | Sequence[int]]) -> None:
    """Raise ``ValueError`` unless every size is at least 1, and every sequence has one."""
    wrong = [f"{name}={size}" for name, size in sizes.items() if _smallest(size) < 1]
    if wrong:
        raise ValueError(f"{owner}: expected sizes of at least 1, got {', '.join(wrong)}")


def check_shape(tensor: Tensor, expected: Sequence[int | str], name: str) -> None:
    """Raise ``ValueError`` unless the dimensions are the expected ones; one that has a name may be any."""
    pairs = zip(tensor.shape, expected, strict=False)
    if tensor.ndim != len(expected) or any(not isinstance(size, str) and found != size for found, size in pairs):
        raise ValueError(f"{name}: expected ({', '.join(map(str, expected))}), got {tuple(tensor.shape)}")


def check_floats(images: Tensor) -> None:
    """Raise ``TypeError`` unless the values are floats: in 8 bits, arithmetic on them would wrap."""
    if not images.is_floating_point():
        raise TypeError(f"images: expected floats in [-1, 1], got {images.dtype}")


def check_images(images: Tensor, stride: int, channels: int = 3) -> None:
    """Raise unless ``images`` are floats ``(B, channels, H, W)`` with sides divisible by ``stride``."""
    check_floats(images)
    check_sides(images, stride, channels)


def check_sides(images: Tensor, stride: int, channels: int = 3, *, name: str = "images") -> None:
    """Raise ``ValueError`` unless ``images`` are ``(B, channels, H, W)`` with sides divisible by ``stride``."""
    sides = images.shape[-2:]
    if images.ndim != 4 or images.shape[1] != channels or any(side % stride or not side for side in sides):
        expected = f"(B, {channels}, H, W) with sides divisible by {stride}"
        raise ValueError(f"{name}: expected {expected}, got {tuple(images.shape)}")


def check_channel_dim(owner: str, found: int, expected: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless the quantizer's ``channel_dim`` is one of two that mean the same."""
    if found not in expected:
        raise ValueError(f"{owner}: quantizer: expected channel_dim {expected[0]} or {expected[1]}, got {found}")


def _smallest(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else min(size, default=0)
