"""One oldest Python, told the same everywhere, and an environment for each Python that `make` is given."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from surface.repository import PROJECTS, ROOT, text_files

OLDEST = (3, 11)
NAME = "{}.{}".format(*OLDEST)
FOLDERS = list(PROJECTS.values())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_distribution_asks_for_the_oldest_python(folder):
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["requires-python"] == f">={NAME}"


@pytest.mark.parametrize("folder", [ROOT, *FOLDERS], ids=lambda folder: folder.name)
def test_every_readme_says_which_python_it_needs(folder):
    told = re.findall(r"Python\s+(\d\.\d+)\s+or\s+newer", (folder / "README.md").read_text())
    assert told
    assert set(told) == {NAME}


def test_the_tools_check_for_the_oldest_python():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["ruff"]["target-version"] == f"py{OLDEST[0]}{OLDEST[1]}"
    assert tools["mypy"]["python_version"] == NAME


def test_no_pin_is_for_some_pythons_only():
    """A pin that an older Python leaves out is not among the versions that were tested together."""
    pins = (ROOT / "constraints.txt").read_text() + (ROOT / "requirements-dev.txt").read_text()
    assert "python_version" not in pins


def commands_of(*arguments: str) -> str:
    """What make would run."""
    if shutil.which("make") is None:
        pytest.skip("no make")
    # What this run itself was made with is handed down in the environment.
    alone = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKEOVERRIDES")}
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=ROOT, env=alone, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("python", "folder"),
    [
        ((), ".venv"),
        (("PYTHON=python3.13",), ".venv-python3.13"),
        (("PYTHON=/usr/local/3.12/bin/python3.12",), ".venv-python3.12"),
    ],
)
def test_make_keeps_an_environment_for_each_python(python, folder):
    for target in ("demo", "test", "nightly"):
        used = set(re.findall(r"(\.venv[^/ ]*)/bin/(?!python)", commands_of(target, *python)))
        assert used == {folder}, target


def test_make_tells_when_a_python_is_too_old():
    check = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "v >= (" in line)
    assert f"v >= {OLDEST}" in check
    code = re.search(r"-c '(.*)'$", check)[1].replace("$(PYTHON)", "python3")
    for version, failed in (("(3, 10)", 1), ("(3, 11)", 0), ("(3, 14)", 0)):
        older = code.replace("sys.version_info", version)
        done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == failed
        assert ("vistok needs Python 3.11 or newer, and python3 is 3.10" in done.stderr) == bool(failed)


def test_torchvisions_operators_are_declared_in_one_place():
    """Where its compiled library loads, a second declaration ends the process."""
    declaring = re.compile(r"Library\(\W*torchvision\W")
    found = [path.relative_to(ROOT).as_posix() for path in text_files(".py") if declaring.search(path.read_text())]
    assert found == [
        "packages/metrics/src/vistok/metrics/networks/_torchvision_schemas.py",
        "tests/metrics/test_torchvision_schemas.py",
    ]
