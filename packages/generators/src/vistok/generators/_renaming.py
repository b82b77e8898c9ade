"""Load weights that carry other names: strict, with the full list of what does not match."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Rules = Sequence[tuple[str, str]]
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def load_renamed(
    model: nn.Module, state: Mapping[str, Tensor], rules: Rules, ignored: str, built_otherwise: Sequence[str] = ()
) -> None:
    """Copy ``state`` into ``model``; a name takes the first rule that matches it as a whole.

    ``built_otherwise`` says how the model computes something else than the saved network, which no shape would show.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dictionary of tensors by name, got {type(state).__name__}")
    renamed: dict[str, Tensor] = {}
    problems = list(built_otherwise)
    target = model.state_dict()
    for name, tensor in state.items():
        if not isinstance(name, str) or re.fullmatch(ignored, name):
            continue
        ours = _rename(name, rules)
        if isinstance(tensor, Mapping):
            problems.append(f"{name}: a dictionary of {len(tensor)} entries; give the one that holds the weights")
        elif ours is None or ours not in target:
            problems.append(f"{name}: no place in the model")
        elif problem := _unfit(tensor, ours, target[ours]):
            problems.append(f"{name}: {problem}")
        else:
            renamed[ours] = tensor.reshape(target[ours].shape)
    named = {_rename(name, rules) for name in state if isinstance(name, str)}
    problems += [f"{name}: not in the checkpoint" for name in target if name not in named]
    if problems:
        raise ValueError(f"checkpoint does not fit, {len(problems)} entries: " + "; ".join(problems))
    model.load_state_dict(renamed)


def _rename(name: str, rules: Rules) -> str | None:
    for pattern, replacement in rules:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def _unfit(value: object, name: str, target: Tensor) -> str | None:
    """Why something cannot be the weight ``name``, or ``None``."""
    if not isinstance(value, Tensor):
        return f"expected a tensor, got {type(value).__name__}"
    if value.layout != torch.strided or value.dtype not in _FLOATS:
        return f"expected dense floating point of 16 to 64 bits, got {value.dtype}, {value.layout}"
    if value.numel() != target.numel() or _squeezed(value) != _squeezed(target):
        return f"shape {tuple(value.shape)} for {name} of shape {tuple(target.shape)}"
    if value.device.type != "meta" and not bool(value.isfinite().all()):
        return "holds values that are not finite"
    return None


def _squeezed(tensor: Tensor) -> torch.Size:
    """The shape without axes of one entry."""
    return tensor.squeeze().shape
