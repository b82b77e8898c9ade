"""A bare environment that holds one wheel and what its metadata declares, and not one module more.

The declared dependencies are links into the environment that runs the tests; the wheels of this repository are
unpacked. So an import that is not declared fails here, without an index and within seconds.
"""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from surface.repository import PROJECTS

SITE = Path(sysconfig.get_paths()["purelib"])


def build_wheel(name: str, folder: Path) -> Path:
    """Build the wheel of one of our distributions with the installed build backend."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECTS[name])],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


def requirements(found: Distribution, extras: Iterable[str] = ()) -> list[Requirement]:
    """What a distribution needs here, with these of its extras."""
    parsed = [Requirement(text) for text in found.requires or []]
    return [r for r in parsed if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in ("", *extras))]


def wheel_metadata(wheel: Path, folder: Path) -> Distribution:
    """The metadata inside a wheel, which is unpacked into ``folder``."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (info,) = folder.glob(f"{wheel.name.split('-')[0]}-*.dist-info")
    return PathDistribution(info)


@cache
def shared_folders() -> dict[str, set[str]]:
    """Which distributions have files under each top-level name of site-packages."""
    owners: dict[str, set[str]] = defaultdict(set)
    for found in distributions(path=[str(SITE)]):
        name = found.metadata["Name"]
        for top in {file.parts[0] for file in found.files or []}:
            owners[top].add(name)
    return owners


def link(found: Distribution, target: Path) -> None:
    """Make a distribution importable from ``target``; shared folders are linked file by file."""
    for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
        if len(shared_folders()[top]) == 1:
            if not (target / top).exists():
                (target / top).symlink_to(SITE / top)
            continue
        for file in found.files or []:
            place = target / file
            if file.parts[0] == top and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(SITE / file)


def bare_environment(name: str, folder: Path) -> tuple[Path, Path]:
    """A virtual environment with the wheel of ``name`` (``name[extra]``) and its declared closure.

    Returns:
        Its interpreter and its site-packages.
    """
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder / "env")
    python = folder / "env" / "bin" / "python"
    (target,) = (folder / "env").glob("lib/python*/site-packages")
    waiting, installed, seen = [Requirement(name)], {}, set()
    while waiting:
        needed = waiting.pop()
        current = canonicalize_name(needed.name)
        if (current, *sorted(needed.extras)) in seen:
            continue
        seen.add((current, *sorted(needed.extras)))
        if current in installed:
            pass
        elif current in PROJECTS:
            wheels = folder / "wheels" / current
            installed[current] = wheel_metadata(build_wheel(current, wheels), target)
        else:
            try:
                installed[current] = distribution(current)
            except PackageNotFoundError as error:
                raise AssertionError(f"{name} needs {current}, which is not installed here") from error
            link(installed[current], target)
        waiting += requirements(installed[current], needed.extras)
    return python, target
