"""What a tokenizer of any kind holds: the networks and tensors in it, wherever they lie."""

from collections.abc import Iterator, Mapping
from types import MethodType, ModuleType
from typing import Any

from torch import Tensor, nn


def held_modules(tokenizer: Any) -> list[nn.Module]:
    """The networks of a tokenizer: itself, or those in its attributes, mappings, sequences, own objects and methods.

    Each once, and of a network that lies in another the outer one alone.

    Example:
        >>> held_modules({"networks": [nn.Identity()]}), held_modules(object())
        ([Identity()], [])
    """
    return [part for _, part in _held(tokenizer, "", set()) if isinstance(part, nn.Module)]


def held_tensors(tokenizer: Any) -> dict[str, Tensor]:
    """All tensors of a tokenizer by where they lie: those of its networks' states, and those beside them.

    Example:
        >>> import torch
        >>> list(held_tensors({"books": [torch.zeros(2)], "network": nn.Linear(1, 1)}))
        ['.books.0', '.network.weight', '.network.bias']
    """
    return {name: part for name, part in _held(tokenizer, "", set()) if isinstance(part, Tensor)}


def _held(part: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor | nn.Module]]:
    if isinstance(part, MethodType):
        part = part.__self__
    if isinstance(part, Tensor):
        yield name, part
    if isinstance(part, Tensor | ModuleType | type) or id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, nn.Module):
        yield name, part
        part = part.state_dict()
    elif isinstance(part, list | tuple):
        part = dict(enumerate(part))
    for key, inner in (part if isinstance(part, Mapping) else getattr(part, "__dict__", {})).items():
        yield from _held(inner, f"{name}.{key}", seen)
