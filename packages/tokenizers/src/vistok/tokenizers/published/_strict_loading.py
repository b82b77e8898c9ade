"""Fill a network from weights under other names: all of it, or nothing and the full list of what does not match."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# What only we hold: the quantizers' statistics of use in training, and the values of bits. They stay as they are.
_OURS_ONLY = r"quantizer\.(semantic\.|visual\.)?(steps_unused|pending_count|wrapped\.mask)"


class Source(NamedTuple):
    """Where a tensor of ours comes from: the names there, concatenated along the output channels where several."""

    names: tuple[str, ...]
    rows: bool = False  # saved as rows (h w, C), here a grid (1, C, h, w)
    scale: float = 1.0  # by which the saved values are multiplied here


def layer(ours: str, *theirs: str, bias: bool = True) -> dict[str, Source]:
    """The sources of the weight and the bias of a layer."""
    leaves = ("weight", "bias") if bias else ("weight",)
    return {f"{ours}.{leaf}": Source(tuple(f"{name}.{leaf}" for name in theirs)) for leaf in leaves}


def load_strictly(
    model: nn.Module,
    state: Mapping[str, Tensor],
    sources: Mapping[str, Source],
    ignored: str,
    built_otherwise: Sequence[str] = (),
) -> None:
    """Copy ``state`` into ``model``.

    Args:
        model: The network to fill.
        state: The flat state dict; what ``ignored`` matches as a whole may be in it, and is left out.
        sources: Of each name of ours.
        ignored: A regular expression.
        built_otherwise: How the model computes something else than the saved network, which no shape would show.

    Raises:
        ValueError: Anything that does not match, all of it listed; the model is unchanged then.
        TypeError: ``state`` is no mapping.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected a dictionary of tensors by name, got {type(state).__name__}")
    known = {name for source in sources.values() for name in source.names}
    problems = [f"{name}: no place in the model" for name in state if not _is_known(name, known, ignored)]
    filled: dict[str, Tensor] = {}
    for ours, target in model.state_dict().items():
        if re.fullmatch(_OURS_ONLY, ours):
            filled[ours] = target
        elif ours not in sources:
            problems.append(f"{ours}: the published network has none")
        elif wrong := list(_unfit(state, sources[ours], ours, target)):
            problems += wrong
        else:
            filled[ours] = _converted([state[name] for name in sources[ours].names], sources[ours], target)
    problems += built_otherwise
    if problems:
        raise ValueError(f"checkpoint does not fit, {len(problems)} entries: " + "; ".join(problems))
    model.load_state_dict(filled)


def _is_known(name: object, known: set[str], ignored: str) -> bool:
    return isinstance(name, str) and (name in known or re.fullmatch(ignored, name) is not None)


def _unfit(state: Mapping[str, Tensor], source: Source, ours: str, target: Tensor) -> Iterator[str]:
    """Why tensors cannot fill ``ours``: missing, not finite floating point, or of another shape."""
    count = len(source.names)
    expected = (target.shape[0] // count, *target.shape[1:])
    if source.rows:
        expected = (target.shape[2] * target.shape[3], target.shape[1])
    place = ours if count == 1 else f"one of {count} parts of {ours}"
    for name in source.names:
        if name not in state:
            yield f"{name}: not in the checkpoint, for {ours}"
        elif problem := _no_weight(state[name]):
            yield f"{name}: {problem}"
        elif tuple(state[name].shape) != expected:
            yield f"{name}: expected shape {expected} for {place}, got {tuple(state[name].shape)}"


def _no_weight(value: object) -> str | None:
    """Why something cannot be a weight of a network, or ``None``."""
    if not isinstance(value, Tensor):
        return f"expected a tensor, got {type(value).__name__}"
    if value.layout != torch.strided:
        return f"expected a dense tensor, got {value.layout}"
    if value.dtype not in _FLOATS:
        return f"expected floating point of 16 to 64 bits, got {value.dtype}"
    if not value.is_meta and not bool(value.isfinite().all()):
        return "holds values that are not finite"
    return None


def _converted(parts: list[Tensor], source: Source, target: Tensor) -> Tensor:
    if source.rows:
        return parts[0].T.reshape(target.shape)
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole if source.scale == 1 else whole * source.scale
