"""Tokenizers by name and path, as the command takes them: whoever ships one says how it is loaded."""

import importlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from vistok.metrics.harness.diffusers_autoencoders import load_diffusers_autoencoder

#: The group of entry points: each is a call from a path to a tokenizer with ``encode`` and ``decode``.
GROUP = "vistok.tokenizers"
_LONGEST_REASON = 240


def load_tokenizer(name: str, path: str | Path) -> Any:
    """Load a tokenizer for an evaluation.

    Args:
        name: Of a loader that an installed distribution announces under ``vistok.tokenizers``; ``diffusers`` for a
            folder of one of its autoencoders; or ``module:function`` of your own.
        path: What the loader is given.

    Raises:
        ValueError: There is no such loader, it cannot be imported, or it cannot load what is at the path; in one line.

    Example:
        >>> load_tokenizer("builtins:str", "a/path")
        'a/path'
    """
    load = loader(name)
    try:
        return load(path)
    except Exception as error:  # a loader is anybody's code: whatever it raises is one line here
        raise ValueError(f"tokenizer {name!r} could not be loaded from {path}: {_reason(error)}") from error


def loader(name: str) -> Callable[[str | Path], Any]:
    """The call that ``name`` stands for, see :func:`load_tokenizer`."""
    announced = {point.name: point.load for point in metadata.entry_points(group=GROUP)}
    named: dict[str, Callable[[], Any]] = {"diffusers": lambda: load_diffusers_autoencoder, **announced}
    module, _, attribute = name.partition(":")
    if name not in named and not attribute:
        raise ValueError(f"tokenizer {name!r}: expected one of {', '.join(sorted(named))}, or module:function")
    try:
        found: Any = named[name]() if name in named else _attribute(importlib.import_module(module), attribute)
    except Exception as error:  # importing runs anybody's code
        raise ValueError(f"tokenizer {name!r} could not be imported: {_reason(error)}") from error
    if not callable(found):
        raise ValueError(f"tokenizer {name!r}: expected a function of a path, got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _attribute(target: Any, names: str) -> Any:
    for part in names.split("."):
        target = getattr(target, part)
    return target


def _reason(error: Exception) -> str:
    """One line; the kind of error is told where its text alone says little."""
    text = " ".join(str(error).split())[:_LONGEST_REASON]
    return text if text and isinstance(error, ValueError | OSError | ImportError) else f"{type(error).__name__}: {text}"
