"""torchvision imports beside any torch, and one that works is left alone."""

import importlib.util
import subprocess
import sys

from _support.mutants import catches
from vistok.metrics.networks import _torchvision_schemas

SUBJECT = "vistok.metrics.networks._torchvision_schemas"


def run(code: str) -> str:
    """What a fresh process prints: declarations cannot be taken back in this one."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_compiled_library_that_loads_is_enough_and_nothing_is_declared():
    """As with a torchvision built for this torch: its library brings the operators, with signatures of its own."""
    code = (
        "import torch; from pathlib import Path\n"
        "import vistok.metrics.networks._torchvision_schemas as m; kept = []\n"
        "print(hasattr(torch.ops.torchvision, 'nms'))\n"
        "def load(path):\n"
        "    kept.append(torch.library.Library('torchvision', 'FRAGMENT'))\n"
        "    kept[0].define('nms(Tensor boxes) -> Tensor')\n"
        "m._compiled_libraries = lambda: [Path('_C.so')]\n"
        "torch.ops.load_library = load\n"
        "print(m.declare_missing_operators(), m.declare_missing_operators(), len(kept), m._declared)\n"
        "print(torch.ops.torchvision.nms.default._schema)"
    )
    assert run(code).splitlines() == ["False", "False False 1 []", "torchvision::nms(Tensor boxes) -> Tensor"]


def test_torchvision_imports_after_the_declaration():
    code = (
        "from vistok.metrics.networks._torchvision_schemas import declare_missing_operators as declare\n"
        "first = declare(); import torchvision.transforms; print(declare())"
    )
    assert run(code) == "False"


@catches(SUBJECT, "(spec.submodule_search_locations or ()) if spec else ()", "spec.submodule_search_locations or ()")
def test_without_torchvision_there_is_no_library_to_load(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert list(_torchvision_schemas._compiled_libraries()) == []
