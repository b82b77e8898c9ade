"""The lowest versions that the packages' metadata allow, as constraints for pip, which has no option for them.

``make oldest`` installs them into ``.venv-oldest`` and runs the tests of this folder there.
"""

import sys
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from surface.repository import PROJECTS


def needed() -> Iterator[Requirement]:
    """What each of our distributions needs, and what the extras need that they ask of one another."""
    projects = {
        name: tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for name, folder in PROJECTS.items()
    }
    for project in projects.values():
        for requirement in map(Requirement, project["dependencies"]):
            yield requirement
            for extra in requirement.extras if requirement.name in PROJECTS else ():
                yield from map(Requirement, projects[requirement.name]["optional-dependencies"][extra])


def lower_bounds() -> dict[str, Version]:
    """The highest lower bound of each foreign distribution: all packages are installed together."""
    bounds: dict[str, Version] = {}
    for requirement in needed():
        name = canonicalize_name(requirement.name)
        for bound in requirement.specifier:
            if bound.operator in {">=", "=="} and name not in PROJECTS:
                bounds[name] = max(Version(bound.version), bounds.get(name, Version("0")))
    return bounds


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in sorted(lower_bounds().items()))
