"""What the package index will show of each distribution: true, whole, and enough to find it."""

import re
import tomllib

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.metadata.spec import get_core_metadata_constructors
from hatchling.plugin.manager import PluginManager
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from trove_classifiers import classifiers

from surface.public_names import version
from surface.repository import PACKAGES, PROJECTS, RECIPES, source_folder
from surface.wheel_matrix import EXAMPLE

#: What a name in brackets brings beside the package.
EXTRAS = {
    "vistok-generators": {"hub", "xformers"},
    "vistok-metrics": {"backbones", "diffusers", "fidelity"},
    "vistok-workbench": {"app", "http", "onnx", "openmoji", "track"},
    "vistok-recipes": {"app", "diffusers", "fidelity", "http", "onnx", "openmoji", "track"},
}
ours = pytest.mark.parametrize("name", list(PROJECTS))


def metadata(name: str) -> Metadata:
    """What a wheel of it would say, made and checked without building one."""
    project = ProjectMetadata(str(PROJECTS[name]), PluginManager())
    text = get_core_metadata_constructors()["2.4"](project)
    return Metadata.from_email(text.encode("utf-8") + (project.core.readme.encode("utf-8")))


@ours
def test_it_says_what_it_is_to_people_and_to_indexes(name):
    found = metadata(name)
    assert found.license_expression == "Apache-2.0"
    assert found.license_files == ["LICENSE"]
    assert "Typing :: Typed" in found.classifiers
    assert set(found.classifiers) <= classifiers
    assert not [text for text in found.classifiers if text.startswith("License ::")]  # the expression says it
    pythons = [text for text in found.classifiers if re.search(r":: 3\.\d+$", text)]
    assert pythons == [f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)]
    assert {"image tokenizer", "pytorch"} <= set(found.keywords)
    assert found.description_content_type == "text/markdown"


@ours
def test_its_extras_are_those_and_need_siblings_of_this_version(name):
    extras = tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text())["project"].get("optional-dependencies", {})
    assert set(metadata(name).provides_extra or []) == EXTRAS.get(name, set())
    for needed in (Requirement(text) for texts in extras.values() for text in texts):
        if needed.name in PROJECTS:
            assert needed.specifier.contains(version(PROJECTS[needed.name]))
            assert needed.extras <= EXTRAS[needed.name]


@ours
def test_the_long_description_begins_with_an_example_of_few_lines(name):
    example = EXAMPLE.search(metadata(name).description)[1]
    assert 5 <= len(example.splitlines()) <= 14
    assert "import" in example


def test_every_package_is_marked_as_typed():
    assert [package for package in (*PACKAGES, *RECIPES) if not (source_folder(package) / "py.typed").exists()] == []
