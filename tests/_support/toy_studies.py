"""A study of the toy recipe."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

STUDY = {
    "title": "A toy",
    "claims": "Weight adds ten.",
    "recipe": "_support.toy_recipe",
    "config": "any",
    "seeds": (0, 1),
    "measures": {"score": {"path": "score", "better": "higher"}},
    "rows": {"base": {}, "heavy": {"set": {"weight": 2}}},
}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs, and processes that find the toy recipe."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder
