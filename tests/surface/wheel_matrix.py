"""Each wheel alone in a bare environment, on several Pythons, with the oldest and the newest torch that it allows.

    make dist dist-matrix PYTHONS="python3.11 python3.12 3.14"

A cell installs one wheel of ``dist`` with what its metadata declare, the sibling wheels from ``dist`` too, imports all
its modules and runs the first example of its own long description. A Python that is not on this machine (a bare
version) is resolved only: whether a wheel of everything exists for it. Cells that are done are not done again.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PathDistribution
from pathlib import Path
from zipfile import Path as PathInZip
from zipfile import ZipFile

from surface.oldest_versions import lower_bounds
from surface.repository import PROJECTS, ROOT

DIST = ROOT / "dist"
DONE = DIST / "matrix.json"
UV = [sys.executable, "-m", "uv", "--no-python-downloads"]
OLDEST, NEWEST = "oldest", "newest"
#: The first block of Python of a long description.
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Every module of the packages in the arguments, then the program on standard input.
IMPORT_ALL = """
import importlib, pkgutil, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
exec(compile(sys.stdin.read(), "example", "exec"))
import torch
print("torch", torch.__version__)
"""


@dataclass(frozen=True)
class Wheel:
    """One of our wheels and what its metadata tell."""

    file: Path

    @property
    def metadata(self) -> PathDistribution:
        (info,) = (path for path in PathInZip(ZipFile(self.file)).iterdir() if path.name.endswith(".dist-info"))
        return PathDistribution(info)

    @property
    def name(self) -> str:
        return self.metadata.metadata["Name"]

    @property
    def modules(self) -> list[str]:
        """The packages to import: ``vistok.losses``, or each recipe."""
        tops = {name.split("/")[0] for name in ZipFile(self.file).namelist() if name.endswith(".py")}
        return [self.name.replace("-", ".")] if tops == {"vistok"} else sorted(tops)

    @property
    def example(self) -> str:
        """The first block of Python in the long description."""
        return EXAMPLE.search(self.metadata.metadata.get_payload())[1]


@dataclass(frozen=True)
class Failed(Exception):
    """A command did not end well."""

    words: list[str]
    said: str


def run(*words: str | Path, given: str = "", cwd: Path | None = None) -> str:
    """What a command prints."""
    command = [str(word) for word in words]
    done = subprocess.run(command, input=given, cwd=cwd, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise Failed(command, done.stderr or done.stdout)
    return done.stdout


def version_of(python: str) -> str:
    """``3.13`` of an interpreter, or of the bare version that stands for one that is not here."""
    if shutil.which(python) is None:
        return python.removeprefix("python")
    return run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()


def torch_of(release: str) -> list[str]:
    """What is asked of torch: the lowest bound of the metadata, a release, or nothing."""
    return [] if release == NEWEST else [f"torch=={lower_bounds()['torch'] if release == OLDEST else release}"]


def try_wheel(wheel: Wheel, python: str, release: str) -> str:
    """One cell: install alone, import, run the example; the torch that it ran with."""
    wanted = [str(wheel.file), *torch_of(release)]
    environment = DIST / "environment"  # always there, so that what one cell compiles the next one reads
    shutil.rmtree(environment, ignore_errors=True)
    compiled = f"pycache_prefix={DIST / 'compiled' / f'{version_of(python)}-{release}'}"
    with tempfile.TemporaryDirectory() as folder:
        run(*UV, "venv", "--quiet", "--python", python, environment)
        there = environment / "bin" / "python"
        find = ["--only-binary", ":all:", "--find-links", DIST]
        run(*UV, "pip", "install", "--quiet", "--python", there, *find, *wanted)
        said = run(there, "-I", "-X", compiled, "-c", IMPORT_ALL, *wheel.modules, given=wheel.example, cwd=Path(folder))
    return said.split()[-1]


def resolve_wheel(wheel: Wheel, python: str, release: str) -> str:
    """One cell of a Python that is not here: the torch whose wheel there is, with one of everything else."""
    given = "\n".join([str(wheel.file), *torch_of(release)])
    find = ["--only-binary", ":all:", "--find-links", str(DIST), "--quiet", "--no-header"]
    pins = run(*UV, "pip", "compile", "--python-version", version_of(python), *find, "-", given=given)
    return f"{re.search(r'^torch==(.*)$', pins, re.M)[1]}, resolved only"


def reason(failed: Failed) -> str:
    """Why a command failed: the package without a wheel, or its last line."""
    lacking = re.search(r"only found wheels for `([\w-]+)`", failed.said)
    enough = re.findall(r"depend on (torch>=[\d.]+\d)", failed.said)
    if lacking:
        instead = f"; {enough[-1]} would do" if enough else ""
        return f"no wheel of {lacking[1]} fits this Python and this torch{instead}"
    lines = [" ".join(line.split()) for line in failed.said.splitlines() if line.strip()]
    return (lines or ["no word"])[-1].replace("|", "/")[:240]


def cells(wheels: list[Wheel], pythons: list[str], releases: list[str]) -> dict[str, dict[str, str]]:
    """Do every cell that is not done: package to column to what came of it."""
    done: dict[str, dict[str, str]] = json.loads(DONE.read_text(encoding="utf-8")) if DONE.exists() else {}
    for release in releases:
        for python in pythons:
            column = f"{version_of(python)}, torch {release}"
            for wheel in wheels:
                row = done.setdefault(wheel.name, {})
                if column in row:
                    continue
                attempt = try_wheel if shutil.which(python) else resolve_wheel
                try:
                    row[column] = attempt(wheel, python, release)
                except Failed as failed:
                    sys.stderr.write(failed.said)
                    row[column] = f"no: {reason(failed)}"
                sys.stderr.write(f"{wheel.name}, Python {column}: {row[column]}\n")
                DONE.write_text(json.dumps(done, indent=1), encoding="utf-8")
    shutil.rmtree(DIST / "environment", ignore_errors=True)
    return done


def page(done: dict[str, dict[str, str]]) -> str:
    """The table, with notes for what did not work."""
    columns = sorted({column for row in done.values() for column in row}, key=lambda c: (len(c.split(",")[0]), c))
    notes: list[str] = []

    def shown(cell: str) -> str:
        if not cell.startswith("no: "):
            return cell
        if cell not in notes:
            notes.append(cell)
        return f"no ({notes.index(cell) + 1})"

    lines = ["| wheel | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in done.items():
        lines.append(f"| {name} | " + " | ".join(shown(row.get(column, "not tried")) for column in columns) + " |")
    head = (
        f"# Each wheel alone, {date.today()}\n\n`make dist dist-matrix`: each wheel alone in a bare environment of a "
        "Python, with everything else from the package index as new as it is, and with torch as old or as new as the "
        "metadata allow. All its modules were imported and the example of its long description ran; the cell names the "
        "torch that it ran with. *Resolved only*: that Python is not on the machine, so nothing ran; a wheel of "
        "everything exists for it."
    )
    told = "".join(f"\n{number}. {note.removeprefix('no: ')}" for number, note in enumerate(notes, 1))
    return f"{head}\n\n" + "\n".join(lines) + "\n" + ("\nWhat did not work:\n" + told + "\n" if told else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", nargs="+", default=["python3.11", "python3.12", "python3.13", "python3.14"])
    parser.add_argument("--torch", nargs="+", default=[NEWEST, OLDEST], help="newest, oldest, or a release")
    parser.add_argument("--wheel", nargs="+", choices=list(PROJECTS), default=list(PROJECTS))
    options = parser.parse_args()
    wheels = sorted((Wheel(file) for file in DIST.glob("*.whl")), key=lambda wheel: [*PROJECTS].index(wheel.name))
    if [wheel.name for wheel in wheels] != [*PROJECTS]:
        sys.exit("dist: expected the wheel of every package; make dist builds them")
    chosen = [wheel for wheel in wheels if wheel.name in options.wheel]
    done = cells(chosen, options.python, options.torch)
    place = ROOT / "benchmarks" / "results" / f"packages_{date.today()}.md"
    place.write_text(page(done), encoding="utf-8")
    sys.stderr.write(f"{place}\n")


if __name__ == "__main__":
    main()
