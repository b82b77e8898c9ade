"""Let torchvision import beside a torch it was not built for.

torchvision describes its compiled operators to torch at import. When its compiled library cannot be loaded (a CUDA
build beside a CPU-only torch) two of the operators that it describes do not exist, and the import stops with
``operator torchvision::nms does not exist``. Declaring those two signatures first is enough for transforms, models and
everything built on them, timm included; the compiled operators and ``torchvision.io.read_image`` stay absent.
"""

import contextlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
# A declaration lives as long as the library object that made it.
_declared: list[torch.library.Library] = []


def _compiled_libraries() -> Iterable[Path]:
    """The compiled operator libraries of the installed torchvision, found without importing it."""
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(folder).glob("_C*"))


def declare_missing_operators() -> bool:
    """Declare the operators without which ``import torchvision`` fails, if and only if they are missing.

    Call it before the first import of torchvision or timm. Where torchvision's own compiled library loads, or the
    operators are known already, nothing is declared.

    Returns:
        Whether anything was declared by this call.

    Example:
        >>> _ = declare_missing_operators()
        >>> declare_missing_operators()  # the second call finds them
        False
    """
    if hasattr(torch.ops.torchvision, _OPERATORS[0]):
        return False
    for library in _compiled_libraries():
        with contextlib.suppress(OSError):
            torch.ops.load_library(str(library))
    if hasattr(torch.ops.torchvision, _OPERATORS[0]):
        return False
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        fragment.define(operator + _SIGNATURE)
    _declared.append(fragment)
    return True
