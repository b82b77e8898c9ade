"""Every benchmark starts, is one of those that `make bench` runs, and names only what there is."""

import ast
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from surface.repository import RECIPES, ROOT, Source, imports

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
SOURCES = [Source(path.stem, path) for path in sorted(FOLDER.rglob("*.py"))]

HELP = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, sys.argv[1])
said = {}
for path in sys.argv[2:]:
    sys.argv = [path, "--help"]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(path, run_name="__main__")
        said[path] = "did not stop"
    except SystemExit as end:
        said[path] = out.getvalue() if end.code == 0 else f"exit status {end.code}"
    except Exception as error:
        said[path] = repr(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("benchmarks_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_runner_names_every_script_but_itself(runner):
    named = [part.script for part in runner.PARTS]
    assert sorted(named) == [path.name for path in SCRIPTS if path.name != "run.py"]


def test_every_script_shows_its_help_beginning_with_what_it_is_for():
    command = [sys.executable, "-c", HELP, str(FOLDER), *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for path, said in json.loads(done.stdout).items():
        first = ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"))).splitlines()[0]
        assert first in " ".join(said.split()), f"{path}: {said}"


def resolves(name: str) -> bool:
    """Whether there is a module of this name, or one with an attribute that ends it."""
    for module, attribute in ((name, None), name.rpartition(".")[::2]):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if attribute is None or hasattr(found, attribute):
            return True
    return False


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.path.relative_to(FOLDER).as_posix())
def test_what_a_script_imports_from_here_is_there(source):
    """Also what it imports within a function only."""
    own = {name for name, _ in imports(source) if name.split(".")[0] in ("vistok", *RECIPES)}
    assert [name for name in sorted(own) if not resolves(name)] == []


def test_the_runner_goes_on_after_a_part_that_fails_and_says_so(runner, tmp_path, monkeypatch, capsys):
    (tmp_path / "breaks.py").write_text("print('# Title'); raise ValueError('no such machine')")
    (tmp_path / "works.py").write_text("import sys; print('| it | works |', sys.argv[1:])")
    monkeypatch.setattr(runner, "HERE", tmp_path)
    parts = (
        runner.Part("first", "breaks.py"),
        runner.Part("second", "works.py", "--quick", peers=("llamagen", "flowmo")),
        runner.Part("third", "absent.py", needs="data: python absent.py"),
    )
    page = tmp_path / "results" / "page.md"

    assert runner.run(parts, page, {"flowmo": tmp_path}) == 1

    text = page.read_text(encoding="utf-8")
    assert "### Title" in text
    assert "**Failed** with exit status 1: `ValueError: no such machine`" in text
    assert f"| it | works | ['--quick', '--flowmo={tmp_path}']" in text
    assert "Left out, it needs data: `python absent.py`" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## first", "## second", "## third"]
    said = capsys.readouterr().err
    assert "[1/3] first failed" in said
    assert "ValueError: no such machine" in said


def test_the_command_ends_with_status_one_where_a_part_failed(runner, tmp_path, monkeypatch):
    (tmp_path / "breaks.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "PARTS", (runner.Part("only", "breaks.py"),))
    monkeypatch.setattr(sys, "argv", ["run.py", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        runner.main()
    assert end.value.code == 1
