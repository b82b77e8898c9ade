"""Every module of a package has a test file of its name, which plants a bug in it."""

import re

import pytest

from surface.repository import PACKAGES, ROOT, import_name, sources


def file_of(module: str) -> str:
    """``test_exact_pairs.py`` of ``vistok.losses._exact_pairs``."""
    return f"test_{module.rpartition('.')[2].lstrip('_')}.py"


def modules(package: str) -> list[str]:
    return [source.name for source in sources(package) if source.path.name != "__init__.py"]


def subjects(package: str) -> dict[str, str]:
    """The module that a test file says it is about, and the name of the file, if a bug is planted in the module."""
    found = {}
    for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        subject = re.search(r'^SUBJECT = "(.+)"$', text, re.MULTILINE)
        if subject and path.name == file_of(subject[1]) and re.search(r"^@catches\(\s*SUBJECT,", text, re.MULTILINE):
            found[subject[1]] = path.name
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_test_file_with_a_planted_bug(package):
    assert subjects(package) == {module: file_of(module) for module in modules(package)}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_share_a_test_file(package):
    names = [file_of(module) for module in modules(package)]
    assert len(set(names)) == len(names)
    assert all(module.startswith(import_name(package)) for module in modules(package))
