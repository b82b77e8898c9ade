"""Checks of what a caller passes in: one line that names the argument, what was expected and what came."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_dense(name: str, tensor: object) -> None:
    """Raise unless ``tensor`` is a tensor that is not sparse."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
        got = tensor.layout if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name} must be a dense tensor, got {got}")


def check_features(name: str, tensor: Tensor, *, min_dims: int = 0) -> None:
    """Raise unless ``tensor`` is dense floating point, has elements and at least ``min_dims`` dimensions."""
    check_dense(name, tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be a floating point tensor, got {tensor.dtype}")
    if tensor.ndim < min_dims:
        raise ValueError(f"{name} must have at least {min_dims} dimensions, got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")


def check_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Raise unless two tensors have the same shape."""
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")


def check_pair(name_a: str, a: Tensor, name_b: str, b: Tensor, *, min_dims: int = 0) -> None:
    """Raise unless two tensors are floating point, not empty and of the same shape."""
    check_features(name_a, a, min_dims=min_dims)
    check_features(name_b, b, min_dims=min_dims)
    check_same_shape(name_a, a, name_b, b)


def check_maps(name: str, maps: object) -> None:
    """Raise unless ``maps`` is a list of feature maps: one tensor would be read as a list over its batch."""
    if not isinstance(maps, Sequence):
        raise TypeError(f"{name} must be a list of feature maps, got {type(maps).__name__}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise unless ``value`` is finite and not below ``least``."""
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be finite and >= {least}, got {value}")


def check_non_negative(name: str, value: float) -> None:
    """Raise unless ``value`` is finite and not negative."""
    check_at_least(name, value, 0)


def check_positive(name: str, value: float) -> None:
    """Raise unless ``value`` is finite and above zero."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and > 0, got {value}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_channel_dim(tensor: Tensor, channel_dim: int) -> None:
    """Raise unless ``channel_dim`` is a dimension of ``tensor`` other than the batch dimension."""
    if not -tensor.ndim <= channel_dim < tensor.ndim or channel_dim % tensor.ndim == 0:
        raise ValueError(
            f"channel_dim must name a dimension after the batch, got {channel_dim} for shape {tuple(tensor.shape)}"
        )
