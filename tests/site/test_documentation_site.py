"""What of the documentation site can be checked without building it: ``make docs`` checks the rest."""

import ast
import json
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from surface.documents import pages
from surface.public_names import INVENTORY
from surface.repository import ROOT
from surface.test_docstrings import SECTIONS

DOCS = ROOT / "docs"
CONFIGURATION = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))


def setting(name: str) -> object:
    """The value of a setting, read without importing what the configuration imports."""
    (value,) = (
        node.value
        for node in CONFIGURATION.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    )
    return ast.literal_eval(value)


def directives() -> list[tuple[str, list[str]]]:
    """Each ``public-names`` of the API's pages: the module, and the names that follow it."""
    found = []
    for path in sorted((DOCS / "api").rglob("*.rst")):
        for match in re.finditer(
            r"^\.\. public-names:: (\S+)\n((?:\n|   \S+\n)*)", path.read_text(encoding="utf-8"), re.M
        ):
            found.append((match[1], match[2].split()))
    return found


def test_every_public_name_is_on_a_page_of_the_api_and_on_one_only():
    inventory = json.loads(INVENTORY.read_text(encoding="utf-8"))
    wanted = sorted((module, name) for module, names in inventory.items() if module != "versions" for name in names)
    listed = []
    for top, names in directives():
        modules = [top] if names else [module for module in inventory if f"{module}.".startswith(f"{top}.")]
        listed += [(module, name) for module in modules for name in names or inventory[module]]
    assert sorted(listed) == wanted


def test_the_navigation_leads_to_every_page_that_the_site_includes():
    navigation = setting("NAVIGATION")
    assert isinstance(navigation, dict)
    patterns = [pattern for groups in navigation.values() for listed in groups.values() for pattern in listed.split()]
    reached = set()
    for pattern in patterns:
        found = {path for suffix in (".md", ".rst") for path in ROOT.glob(pattern + suffix)}
        assert found, pattern
        reached |= found
    assert {*pages()} - reached == {ROOT / "README.md"}


def test_the_front_page_and_the_folders_of_the_site_exist():
    assert (ROOT / f"{setting('root_doc')}.md").exists()
    assert [name for name in setting("html_static_path") if not (DOCS / name).is_dir()] == []
    assert [name for name in setting("html_css_files") if not (DOCS / "_static" / name).is_file()] == []


def test_nothing_of_the_site_is_asked_from_another_host():
    sources = [DOCS / "conf.py", *(path for path in (DOCS / "_static").rglob("*") if path.is_file())]
    assert [path.name for path in sources if re.search(r"https?://", path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", ["requirements-dev.txt", "requirements-docs.txt"])
def test_every_requirement_has_a_pin_that_it_allows(name):
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    for requirement in (Requirement(line) for line in lines if line and not line.startswith(("#", "-e"))):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_docstrings_render_with_the_sections_that_the_tests_ask_for():
    known = {"Args", "Attributes", "Returns", "Raises", "Notes", "Example"}  # what napoleon renders by itself
    assert {*SECTIONS} - known == {*setting("napoleon_custom_sections")}
