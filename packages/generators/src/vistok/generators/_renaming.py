"""Load weights that carry other names: strict, with the full list of what does not match."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Rules = Sequence[tuple[str, str]]


def load_renamed(model: nn.Module, state: Mapping[str, Tensor], rules: Rules, ignored: str) -> None:
    """Copy ``state`` into ``model``; a name takes the first rule that matches it as a whole."""
    renamed: dict[str, Tensor] = {}
    problems: list[str] = []
    target = model.state_dict()
    for name, tensor in state.items():
        if re.fullmatch(ignored, name):
            continue
        ours = _rename(name, rules)
        if ours is None or ours not in target:
            problems.append(f"{name}: no place in the model")
        elif tensor.numel() != target[ours].numel() or _squeezed(tensor) != _squeezed(target[ours]):
            problems.append(f"{name}: shape {tuple(tensor.shape)} for {ours} of shape {tuple(target[ours].shape)}")
        else:
            renamed[ours] = tensor.reshape(target[ours].shape)
    named = {_rename(name, rules) for name in state}
    problems += [f"{name}: not in the checkpoint" for name in target if name not in named]
    if problems:
        raise ValueError(f"checkpoint does not fit, {len(problems)} entries: " + "; ".join(problems))
    model.load_state_dict(renamed)


def _rename(name: str, rules: Rules) -> str | None:
    for pattern, replacement in rules:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def _squeezed(tensor: Tensor) -> torch.Size:
    """The shape without axes of one entry."""
    return tensor.squeeze().shape
