"""The states of models and optimizers as trees of dictionaries and lists with tensors at their leaves."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Place = tuple[str | int, ...]
"""The keys that lead to a leaf of a state."""


def mapped(state: Any, function: Callable[[Place, Tensor], Any], place: Place = ()) -> Any:
    """A state with each tensor replaced by what ``function`` gives of its place and of itself.

    Example:
        >>> import torch
        >>> mapped({"a": [torch.ones(2), 3]}, lambda place, tensor: (place, len(tensor)))
        {'a': [(('a', 0), 2), 3]}
    """
    if isinstance(state, Tensor):
        return function(place, state)
    if isinstance(state, Mapping):
        return {key: mapped(value, function, (*place, key)) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(mapped(value, function, (*place, index)) for index, value in enumerate(state))
    return state
