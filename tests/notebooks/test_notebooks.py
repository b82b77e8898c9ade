"""The notebooks run from clean kernels, with few steps; the shortest in this process: its values are seen."""

import json
import os
import re
from pathlib import Path

import pytest

from surface.repository import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHORTEST = ROOT / "notebooks" / "one_loss.ipynb"
SHORT = {"NOTEBOOK_STEPS": "4"}


def cells(path: Path, kind: str) -> list[str]:
    return ["".join(c["source"]) for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == kind]


def test_there_are_three_and_none_holds_outputs():
    assert [path.stem for path in NOTEBOOKS] == ["inspect_tokens", "one_loss", "train_on_your_images"]
    for path in NOTEBOOKS:
        code = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert {(len(cell["outputs"]), cell["execution_count"]) for cell in code} == {(0, None)}


def test_what_they_link_to_is_there():
    for path in NOTEBOOKS:
        targets = re.findall(r"\]\(([^)#\s]+)", " ".join(cells(path, "markdown")))
        assert targets
        assert [target for target in targets if not (path.parent / target).exists()] == []


def test_one_loss_runs_cell_by_cell(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))
    pyplot.switch_backend("Agg")
    names: dict[str, object] = {}
    for number, text in enumerate(cells(SHORTEST, "code")):
        exec(compile(text, f"one_loss, cell {number}", "exec"), names)
    assert names["after"] > names["before"]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path != SHORTEST], ids=lambda path: path.stem)
def test_each_other_runs_from_a_clean_kernel(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient of requirements-dev.txt is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat comes with nbclient")
    pytest.importorskip("ipykernel", reason="ipykernel of requirements-dev.txt is not installed")
    for name, value in SHORT.items():
        monkeypatch.setitem(os.environ, name, value)
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(json.dumps(notebook)) < 1_000_000
