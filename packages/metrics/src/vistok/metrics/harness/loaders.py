"""Tokenizers by name and path, as the command takes them: whoever ships one says how it is loaded."""

import importlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

#: The group of entry points: each is a call from a path to a tokenizer with ``encode`` and ``decode``.
GROUP = "vistok.tokenizers"


def load_tokenizer(name: str, path: str | Path) -> Any:
    """Load a tokenizer for an evaluation.

    Args:
        name: Of a loader that an installed distribution announces under ``vistok.tokenizers``; ``diffusers`` for a
            folder of one of its autoencoders; or ``module:function`` of your own.
        path: What the loader is given.

    Raises:
        ValueError: There is no such loader, or it cannot be imported; the message lists those that there are.

    Example:
        >>> load_tokenizer("builtins:str", "a/path")
        'a/path'
    """
    return loader(name)(path)


def loader(name: str) -> Callable[[str | Path], Any]:
    """The call that ``name`` stands for, see :func:`load_tokenizer`."""
    announced = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name in announced:
        found: Callable[[str | Path], Any] = announced[name].load()
        return found
    if name == "diffusers":
        return _load_diffusers
    module, _, attribute = name.partition(":")
    if not attribute:
        names = ", ".join(sorted({"diffusers", *announced}))
        raise ValueError(f"tokenizer {name!r}: expected one of {names}, or module:function")
    try:
        target: Any = importlib.import_module(module)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"tokenizer {name!r}: {error}") from error
    return target  # type: ignore[no-any-return]


def _load_diffusers(path: str | Path) -> Any:
    """An autoencoder of diffusers from its folder; its class is the one that its configuration names."""
    import json

    try:
        diffusers: Any = importlib.import_module("diffusers")
    except ImportError as error:
        raise ValueError(f"tokenizer 'diffusers': needs the package diffusers ({error})") from error
    config = Path(path) / "config.json"
    try:
        kind = json.loads(config.read_text(encoding="utf-8"))["_class_name"]
        model = getattr(diffusers, kind)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{config}: expected the configuration of an autoencoder of diffusers, got {error!r}"
        ) from error
    return model.from_pretrained(str(path)).eval()
