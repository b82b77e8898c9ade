"""Weights where their authors put them: a file, a folder, or a model on the hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor

from vistok.workbench.backbones.pretrained import from_hub
from vistok.workbench.backbones.weights import WeightsError, read_weights

_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/(.+))?")


def read_published(name: str | Path, key: str | None = None, *, revision: str | None = None) -> dict[str, Tensor]:
    """The weights of a network as a flat state dict, see :func:`weights_file` and :func:`read_weights`."""
    return read_weights(weights_file(name, revision=revision), key)


def weights_file(name: str | Path, *, revision: str | None = None) -> Path:
    """Where the file of weights is; what is on the hub is downloaded.

    Args:
        name: A file; a folder with one file of weights; ``organisation/name`` on the hub, whose file is called
            ``model.safetensors``, ``<name>.bin`` or ``pytorch_model.bin``; or ``organisation/name/file`` there. A
            ``Path``, and what begins with a folder that exists, never goes to the hub.
        revision: Of the hub.

    Raises:
        FileNotFoundError: The hub gave none of these files; they are named.
        WeightsError: The folder has no file of weights, or several.
    """
    path, named = Path(name), _HUB.fullmatch(str(name))
    if path.is_dir():
        return _only_file(path)
    alone = path.suffix in _SUFFIXES and (named is None or named[2] is None)
    if isinstance(name, Path) or path.exists() or named is None or alone or Path(path.parts[0]).is_dir():
        return path
    files = [named[2]] if named[2] else _usual_files(named[1].partition("/")[2])
    return from_hub(named[1], lambda model: _first(model, files, revision), missing=f"no {' or '.join(files)}")


def _usual_files(name: str) -> list[str]:
    return ["model.safetensors", f"{name}.bin", "pytorch_model.bin"]


def _only_file(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    usual = [path for file in _usual_files(folder.name) for path in found if path.name == file]
    if len(found) == 1 or usual:
        return [*usual, *found][0]
    raise WeightsError(f"{folder}: expected one file of weights, found {', '.join(p.name for p in found) or 'none'}")


def _first(model: str, files: Sequence[str], revision: str | None) -> str:
    for file in files[:-1]:
        try:
            return hf_hub_download(repo_id=model, filename=file, revision=revision)
        except EntryNotFoundError:  # the next may be there; without a network it may be in the cache
            continue
    return hf_hub_download(repo_id=model, filename=files[-1], revision=revision)
