"""The shape of the tree: one implicit namespace, typed packages, files and functions of a readable size."""

import ast
import re
import tomllib

import pytest

from surface.repository import PACKAGES, RECIPES, ROOT, files, source_folder, sources

#: The limits are those that the contributors' page states, and nowhere else.
RULE = re.compile(r"Files up to (\d+) lines, functions up to (\d+), constructors up to (\d+) arguments")
STATED = RULE.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
assert STATED is not None
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_CONSTRUCTOR_ARGUMENTS = map(int, STATED.groups())
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def test_the_namespace_package_has_no_init():
    assert [str(path) for path in files() if path.match("vistok/__init__.py*")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_marked_as_typed(package):
    assert (source_folder(package) / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_readme_changelog_and_metadata(package):
    folder = ROOT / "packages" / package
    assert [name for name in ("README.md", "CHANGELOG.md", "pyproject.toml") if not (folder / name).is_file()] == []


def test_the_page_of_the_recipes_names_each():
    text = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
    assert {"glotok", "semtok"} <= set(RECIPES)
    assert [recipe for recipe in RECIPES if f"({recipe}/README.md)" not in text] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_a_page_configurations_a_command_and_its_types_checked(recipe):
    folder = source_folder(recipe)
    assert (folder / "README.md").is_file()
    assert (folder / "configs" / "digits.yaml").is_file()
    project = tomllib.loads((ROOT / "recipes" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"][recipe] == f"{recipe}.cli:main"
    assert "recipes" in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_no_module_has_a_name_that_says_nothing(package):
    assert [str(s) for s in sources(package) if s.path.stem.strip("_") in VAGUE_NAMES] == []


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_files_fit_on_a_few_screens(package):
    lengths = {str(s): len(s.path.read_text(encoding="utf-8").splitlines()) for s in sources(package)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is not None:
        text = node.body[0]
        lines -= (text.end_lineno or text.lineno) - text.lineno + 1
    return lines


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_functions_fit_on_one_screen(package):
    lengths = {f"{s}:{f.name}": lines_without_docstring(f) for s in sources(package) for f in functions(s.tree)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_constructors_stay_narrow(package):
    wide = {}
    for source in sources(package):
        for function in functions(source.tree):
            arguments = function.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) - 1
            if function.name == "__init__" and count > MAX_CONSTRUCTOR_ARGUMENTS:
                wide[f"{source}:{function.lineno}"] = count
    assert wide == {}


@pytest.mark.parametrize("package", [*PACKAGES, *RECIPES])
def test_arguments_are_named_not_passed_through(package):
    found = [
        f"{source}:{function.lineno} {function.name}(**{function.args.kwarg.arg})"
        for source in sources(package)
        for function in functions(source.tree)
        if function.args.kwarg is not None
    ]
    assert found == []
