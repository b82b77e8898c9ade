"""No public name appears or goes without an edit of ``public_names.json`` in the same change."""

import importlib
import json

import pytest

from surface.public_names import INVENTORY, current_names
from surface.repository import COMPONENTS, dunder_all, import_name, sources

HINT = "if this is meant, run: python tests/surface/public_names.py --write (and say it in the changelog)"


def recorded() -> dict[str, list[str]]:
    inventory: dict[str, list[str]] = json.loads(INVENTORY.read_text(encoding="utf-8"))
    return inventory


def test_no_public_name_has_gone():
    now = current_names()
    gone = {module: sorted(set(names) - set(now.get(module, []))) for module, names in recorded().items()}
    assert {module: names for module, names in gone.items() if names} == {}, HINT


def test_no_public_name_is_new():
    before = recorded()
    new = {module: sorted(set(names) - set(before.get(module, []))) for module, names in current_names().items()}
    assert {module: names for module, names in new.items() if names} == {}, HINT


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(import_name(package))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_everything_a_component_imports_at_the_top_is_public(package):
    module = importlib.import_module(import_name(package))
    offered = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and str(getattr(value, "__module__", "")).startswith(f"vistok.{package}")
    }
    assert offered - set(module.__all__) == set()


@pytest.mark.parametrize("package", [*COMPONENTS, "workbench"])
def test_no_list_of_public_names_repeats_one(package):
    lists = {str(source): dunder_all(source) or [] for source in sources(package)}
    assert [name for name, names in lists.items() if len(names) != len(set(names))] == []
