"""The inventory of public names, read from the sources without importing them.

Write it again after adding or removing a name:   python tests/surface/public_names.py --write
"""

import ast
import json
import sys
import tomllib
from pathlib import Path

INVENTORY = Path(__file__).with_name("public_names.json")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from surface.repository import COMPONENTS, PROJECTS, Source, dunder_all, import_name, sources  # noqa: E402 - as a script, too


def defined_names(source: Source) -> list[str]:
    """Classes, functions and upper-case or annotated names that a module defines itself and does not hide."""
    names: set[str] = set()
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return sorted(name for name in names if not name.startswith("_") and name != "logger")


def version(folder: Path) -> str:
    return str(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def current_names() -> dict[str, list[str]]:
    """``__all__`` of each component; of the workbench, what each public module offers; the versions that this is of."""
    inventory = {"versions": [f"{name} {version(folder)}" for name, folder in sorted(PROJECTS.items())]}
    for package in COMPONENTS:
        (top,) = (source for source in sources(package) if source.name == import_name(package))
        inventory[top.name] = sorted(dunder_all(top) or [])
    for source in sources("workbench"):
        if any(part.startswith("_") for part in source.name.split(".")):
            continue
        names = dunder_all(source)
        offered = defined_names(source) if names is None else sorted(names)
        if offered:
            inventory[source.name] = offered
    return inventory


def main() -> None:
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/surface/public_names.py --write")
    INVENTORY.write_text(json.dumps(current_names(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
