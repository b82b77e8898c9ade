"""What a release of a package says of itself agrees: version, changelog, recorded names, siblings' ranges, pins."""

import json
import re
import tomllib
from importlib.metadata import distribution, distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from surface.closure import requirements
from surface.oldest_versions import lower_bounds
from surface.public_names import INVENTORY, version
from surface.repository import PROJECTS, ROOT

OURS = sorted(PROJECTS)


def constraints() -> dict[str, str]:
    """The pinned version of each distribution."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.mark.parametrize("name", OURS)
def test_the_newest_entry_of_the_changelog_is_the_version(name):
    text = (PROJECTS[name] / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (.*)$", text, re.MULTILINE)
    assert text.startswith(f"# Changelog of {name}\n")
    assert re.fullmatch(re.escape(version(PROJECTS[name])) + r" \((unreleased|\d{4}-\d\d-\d\d)\)", newest[1])


def test_the_public_names_are_recorded_of_these_versions():
    recorded = json.loads(INVENTORY.read_text(encoding="utf-8"))["versions"]
    assert recorded == [f"{name} {version(PROJECTS[name])}" for name in OURS]


@pytest.mark.parametrize("name", OURS)
def test_siblings_are_needed_by_a_range_that_holds_their_version(name):
    project = tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for needed in map(Requirement, project["dependencies"]):
        if needed.name in PROJECTS:
            assert {bound.operator for bound in needed.specifier} == {">=", "<"}
            assert needed.specifier.contains(version(PROJECTS[needed.name]))


def is_installed(name: str) -> bool:
    return any(distributions(name=name))


def test_every_version_that_an_installation_brings_is_pinned():
    """But for CUDA's, which torch pins itself and brings on some machines only."""
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    tools = [Requirement(line) for line in lines if line and not line.startswith(("#", "-e"))]
    here = [tool for tool in tools if tool.marker is None or tool.marker.evaluate()]
    tools_by_name = {canonicalize_name(tool.name) for tool in here}
    waiting, seen = {(canonicalize_name(tool.name), *tool.extras) for tool in (*map(Requirement, OURS), *here)}, set()
    while waiting - seen:
        name, *extras = (waiting - seen).pop()
        seen.add((name, *extras))
        if name in tools_by_name and not is_installed(name):
            continue  # the environment is older than the list of tools; what the tool brings is seen in a newer one
        waiting.update((canonicalize_name(r.name), *sorted(r.extras)) for r in requirements(distribution(name), extras))
    brought = {name for name, *_ in seen if name not in OURS and not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert brought - set(constraints()) == set()


def test_no_pin_is_below_what_the_metadata_allow():
    assert [name for name, oldest in lower_bounds().items() if Version(constraints()[name]) < oldest] == []
