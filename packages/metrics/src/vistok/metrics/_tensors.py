"""What is measured are tensors of torch, no arrays of others."""

from typing import Any

from torch import Tensor


def check_tensor(name: str, value: Any) -> None:
    """Raise ``TypeError`` where a value is no tensor, and say what it is."""
    if not isinstance(value, Tensor):
        got = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise TypeError(f"{name}: expected a torch tensor, got {got}")
