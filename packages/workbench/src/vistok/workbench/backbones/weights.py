"""One reader of checkpoints, whoever wrote them: nested dictionaries, averages, wrappers' prefixes; never any code."""

import argparse
import difflib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.workbench.run.files import DamagedFileError
from vistok.workbench.run.tensor_files import load_tensors

logger = logging.getLogger(__name__)

# Where authors keep a network's weights, the average of them first: it is what they evaluate.
_CONTAINERS = (
    *("model_ema", "ema", "ema_model", "average", "params_ema"),
    *("model", "state_dict", "model_state_dict", "generator", "params", "net", "network", "weights", "module"),
)
_PREFIX = "module."  # of data-parallel and averaging wrappers, with the average's own counter beside it
_COUNTER = "n_averaged"
_COMPILED = "_orig_mod."
_DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.bool),
)
_GLOBAL = re.compile(r"GLOBAL (\S+)|[Cc]lass (\S+) ")
_SHOWN = 5
_DEEPEST = 20  # a dictionary can hold itself


class WeightsError(DamagedFileError):
    """A checkpoint cannot be used; the message names the file and, where there is one, the entry."""


def read_weights(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """The weights of a network as a flat state dict, from a file as its authors publish it.

    Reads safetensors and what ``torch.save`` wrote, without running code from the file: beside tensors and plain values
    it may hold an ``argparse.Namespace``, as training scripts store, and nothing else. Prefixes that wrappers for
    several devices, averages and compilers put before the names are dropped.

    Args:
        path: The file, in any of these formats under any name.
        key: Where in nested dictionaries the weights are, with dots (``"model"``, ``"networks.generator"``). Without it
            the usual places are tried, averaged weights (``model_ema``, ``ema``) before plain ones (``model``,
            ``state_dict``, ``generator``); which one was taken is logged.

    Raises:
        WeightsError: The file cannot be read, has no such key, or holds something that is no usable tensor (see
            :func:`tensor_problem`). One line.
    """
    path = Path(path)
    tree = _read(path)
    place = "" if key is None else key
    node = tree if key is None else _find(tree, key)
    if node is None:
        raise WeightsError(f"{path}: no {key!r}; {_near(key or '', tree)}")
    weights = _plain_names(_state(node, place, path))
    problems = [f"{name}: {problem}" for name, tensor in weights.items() if (problem := tensor_problem(tensor))]
    if problems or not weights:
        raise WeightsError(f"{path}: {_listed(problems) if problems else 'holds no tensors'}")
    return weights


def read_tensor(path: str | Path, key: str) -> Tensor:
    """One tensor of a checkpoint by its name, such as a codebook.

    Args:
        path: As in :func:`read_weights`.
        key: Its name after those of the dictionaries around it, with dots (``"model.quantize.embedding.weight"``),
            or as :func:`read_weights` would name it.

    Raises:
        WeightsError: As :func:`read_weights`; a wrong key is answered with the names close to it.
    """
    path = Path(path)
    tree = _read(path)
    found = _find(tree, key)
    if found is None:
        try:
            found = _plain_names(_state(tree, "", path)).get(key)
        except WeightsError:  # nothing there that looks like a network's weights
            found = None
    if found is None:
        raise WeightsError(f"{path}: no {key!r}; {_near(key, tree)}")
    problem = tensor_problem(found)
    if problem:
        raise WeightsError(f"{path}: {key}: {problem}")
    tensor: Tensor = found
    return tensor.clone()


def tensor_problem(value: object) -> str | None:
    """Why something cannot be a weight or a buffer of a network, or ``None``.

    Refused are: what is no tensor, sparse and complex tensors, 8-bit and quantized ones, and values that are not finite
    (but for masks, whose entries are 0 and minus infinity).

    Example:
        >>> tensor_problem([1.0]), tensor_problem(torch.tensor([1.0, float("nan")])), tensor_problem(torch.ones(2))
        ('expected a tensor, got list', 'holds values that are not finite', None)
    """
    if not isinstance(value, Tensor):
        return f"expected a tensor, got {type(value).__name__}"
    if value.layout != torch.strided:
        return f"expected a dense tensor, got {value.layout}"
    if value.dtype not in _DTYPES:
        return f"expected floating point of 16 to 64 bits, integers or booleans, got {value.dtype}"
    if not value.is_floating_point() or value.device.type == "meta" or bool(value.isfinite().all()):
        return None
    mask = bool(((value == 0) | value.isneginf()).all())
    return None if mask else "holds values that are not finite"


def _read(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: {'a folder, expected a file' if path.is_dir() else 'no such file'}")
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start[8:] == b"{":
            return load_tensors(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")  # torch warns of what damaged bytes look like
            return torch.load(path, map_location="cpu", weights_only=True, mmap=start[:2] == b"PK")
    except Exception as error:  # damaged or foreign bytes make the readers fail in ways that they do not enumerate
        raise WeightsError(_explained(path, error)) from error


def _explained(path: Path, error: Exception) -> str:
    text = str(error)
    found = _GLOBAL.search(text) if "eights" in text else None
    if found:
        name = next(group for group in found.groups() if group)
        return f"{path}: holds a {name}, which only unsafe loading would read; save its tensors alone"
    if text.startswith(str(path)):
        return text
    reason = (text.splitlines() or [""])[0].split(". ")[0][:160] or type(error).__name__
    return f"{path}: neither safetensors nor a whole file of torch.save ({reason})"


def _find(node: Any, key: str) -> Any:
    """The entry at a dotted key; names may have dots in them."""
    if not isinstance(node, Mapping):
        return None
    if key in node:
        return node[key]
    parts = key.split(".")
    for count in range(1, len(parts)):
        found = _find(node.get(".".join(parts[:count])), ".".join(parts[count:]))
        if found is not None:
            return found
    return None


def _state(node: Any, place: str, path: Path, depth: int = 0) -> dict[str, Any]:
    """The entries of the network in ``node``, by dotted names."""
    if not isinstance(node, Mapping):
        expected = f"expected a dictionary of tensors{place and f' at {place}'}"
        raise WeightsError(f"{path}: {expected}, got {type(node).__name__}")
    usual = [name for name in _CONTAINERS if isinstance(node.get(name), Mapping)]
    if usual and depth < _DEEPEST and not any(isinstance(value, Tensor) for value in node.values()):
        inner = f"{place}.{usual[0]}" if place else usual[0]
        others = f"; also there: {', '.join(usual[1:])}" if usual[1:] else ""
        logger.info("%s: weights of entry %s%s", path, inner, others)
        return _state(node[usual[0]], inner, path, depth + 1)
    return dict(_leaves(node))


def _leaves(node: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _leaves(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", value


def _plain_names(state: dict[str, Any]) -> dict[str, Any]:
    """Without what wrappers add."""
    state = {name.replace(_COMPILED, ""): value for name, value in state.items()}
    own = {name: value for name, value in state.items() if name != _COUNTER}
    if not own or not all(name.startswith(_PREFIX) for name in own):
        return state
    return _plain_names({name.removeprefix(_PREFIX): value for name, value in own.items()})


def _near(key: str, tree: Any) -> str:
    """The names of a tree that are close to ``key``, or its first ones."""
    if not isinstance(tree, Mapping):
        return f"the file is a {type(tree).__name__}, not a dictionary"
    names = [name for name, _ in _leaves(tree)] + [str(name) for name in tree]
    unique = list(dict.fromkeys(names))
    near = difflib.get_close_matches(key, unique, n=_SHOWN, cutoff=0.5) or unique[:_SHOWN]
    return f"it has {', '.join(near) or 'nothing'}{', ...' * (len(unique) > len(near))}"


def _listed(problems: list[str]) -> str:
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more
