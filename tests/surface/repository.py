"""What the tests of this folder know about the repository: its packages, their files, their syntax trees."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

COMPONENTS = ("losses", "quantizers", "generators", "metrics", "tokenizers")
PACKAGES = (*COMPONENTS, "workbench")
#: What of the other components one may import; those that are not here, nothing.
SIBLINGS = {"tokenizers": ("vistok.quantizers", "vistok.generators.layers", "vistok.generators.flow")}
#: Where each distribution of this repository is built from.
PROJECTS = {**{f"vistok-{name}": ROOT / "packages" / name for name in PACKAGES}, "vistok-recipes": ROOT / "recipes"}
RECIPES = tuple(sorted(path.parent.name for path in ROOT.glob("recipes/*/__init__.py")))

SKIPPED_FOLDERS = {"__pycache__", "_build", "dist", "runs"}  # and all that begin with a dot, but .ci


@dataclass(frozen=True)
class Source:
    """One Python module: its dotted name, its file, whether it is a package."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        return _parse(self.path)

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def source_folder(package: str) -> Path:
    """The folder of the import package ``vistok.<package>``, or of a recipe."""
    if package in PACKAGES:
        return ROOT / "packages" / package / "src" / "vistok" / package
    return ROOT / "recipes" / package


def import_name(package: str) -> str:
    return f"vistok.{package}" if package in PACKAGES else package


def sources(package: str) -> list[Source]:
    """All modules of a package or recipe."""
    folder = source_folder(package)
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        dotted = [part for part in parts if part != "__init__"]
        found.append(Source(".".join([import_name(package), *dotted]), path))
    return found


def imports(source: Source) -> Iterator[tuple[str, int]]:
    """Every module that a file names in an import, anywhere in it, as an absolute dotted name with its line.

    ``from a.b import c`` gives ``a.b.c``: whether ``c`` is a module or a name, it lies under ``a.b``.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = source.package.split(".")
                parent = parent[: len(parent) - node.level + 1]
                base = ".".join([*parent, base]).strip(".")
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = ast.unparse(node.func)
            if function in {"importlib.import_module", "import_module", "__import__"}:
                yield str(node.args[0].value), node.lineno


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def dunder_all(source: Source) -> list[str] | None:
    """The names of ``__all__``, read without importing; None where there is none."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def files() -> Iterator[Path]:
    """All files of the repository, without environments, runs and caches."""
    for folder, below, names in os.walk(ROOT):
        below[:] = sorted(name for name in below if name == ".ci" or not (name in SKIPPED_FOLDERS or name[0] == "."))
        yield from (Path(folder) / name for name in sorted(names))


def text_files(*suffixes: str) -> list[Path]:
    """Files of the repository with one of these suffixes."""
    return [path for path in files() if path.suffix in suffixes]
