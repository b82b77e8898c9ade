"""Sizes of a network from the names and shapes of its weights."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def size(state: Mapping[str, Any], name: str, dim: int) -> int:
    """The size of a tensor along a dimension.

    Raises:
        ValueError: There is no such tensor, or it has no such dimension.
        TypeError: ``state`` is no mapping.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dictionary of tensors by name, got {type(state).__name__}")
    value = state.get(name)
    if not isinstance(value, Tensor) or not -value.ndim <= dim < value.ndim:
        got = tuple(value.shape) if isinstance(value, Tensor) else "none"
        raise ValueError(f"checkpoint does not fit: expected {name} to tell the network's size, got {got}")
    return value.shape[dim]


def count(state: Mapping[str, Any], name: str) -> int:
    """How many members a list of modules has."""
    return len({key[len(name) + 1 :].split(".")[0] for key in state if str(key).startswith(f"{name}.")})
