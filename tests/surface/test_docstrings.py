"""The docstring of every public class and function of the components is a contract with fixed sections."""

import ast
import re
from dataclasses import dataclass

import pytest

from surface.repository import COMPONENTS, Source, dunder_all, import_name, sources

#: In this order, where present.
SECTIONS = (
    "Source",
    "Args",
    "Attributes",
    "Shape",
    "Range",
    "Gradient",
    "Returns",
    "Raises",
    "Distributed",
    "Notes",
    "Example",
)
EVERY_MODULE = ("Source", "Shape", "Range", "Gradient", "Example")
Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Public:
    """One public name and where it is defined."""

    name: str
    node: Definition
    source: Source

    @property
    def text(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def sections(self) -> list[str]:
        return re.findall(r"^(" + "|".join(SECTIONS) + r"):\s*$", self.text, flags=re.MULTILINE)

    def section(self, title: str) -> str:
        found = re.search(rf"^{title}:\s*$\n(.*?)(?=^\S|\Z)", self.text, flags=re.MULTILINE | re.DOTALL)
        return found.group(1) if found else ""

    def __str__(self) -> str:
        return f"{self.source}:{self.node.lineno} {self.name}"


def definitions(package: str) -> dict[str, tuple[Definition, Source]]:
    return {
        node.name: (node, source)
        for source in sources(package)
        for node in source.tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }


def public(package: str) -> list[Public]:
    """What ``__all__`` of a component names, where it is a class or a function."""
    (top,) = (source for source in sources(package) if source.name == import_name(package))
    defined = definitions(package)
    return [Public(name, *defined[name]) for name in dunder_all(top) or [] if name in defined]


def base_names(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).split(".")[-1] for base in node.bases}


def is_module(node: Definition, package: str) -> bool:
    """Whether a class is an ``nn.Module``, directly or through a base in the same package."""
    if not isinstance(node, ast.ClassDef):
        return False
    bases = base_names(node)
    return "Module" in bases or any(
        is_module(definitions(package)[base][0], package) for base in bases if base in definitions(package)
    )


def constructor_arguments(node: ast.ClassDef) -> list[str]:
    """Arguments of ``__init__``, or the fields of a named tuple or data class."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return function_arguments(item)[1:]
    if base_names(node) & {"NamedTuple"} or any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        return [
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]
    return []


def function_arguments(node: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


def raises_something(node: Definition, source: Source) -> bool:
    """Whether the class or function raises, itself or by a checking function of its own module or of ``_checks``."""
    helpers = {f.name: f for f in source.tree.body if isinstance(f, ast.FunctionDef)}
    for item in ast.walk(node):
        if isinstance(item, ast.Raise):
            return True
        if isinstance(item, ast.Call):
            called = ast.unparse(item.func)
            if "check_" in called:
                return True
            if called in helpers and helpers[called] is not node and raises_something(helpers[called], source):
                return True
    return False


def classes(package: str) -> list[Public]:
    return [item for item in public(package) if isinstance(item.node, ast.ClassDef)]


def modules(package: str) -> list[Public]:
    return [item for item in classes(package) if is_module(item.node, package)]


def twins(package: str) -> list[Public]:
    """Functions named after a public class, ``snake_case_loss`` of ``SnakeCaseLoss``, not after what one returns."""
    names = {item.name.lower() for item in classes(package) if "NamedTuple" not in base_names(item.node)}
    return [f for f in public_functions(package) if f.name.replace("_", "") in names]


def public_functions(package: str) -> list[Public]:
    return [item for item in public(package) if isinstance(item.node, ast.FunctionDef)]


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_module_states_source_shape_range_gradient_and_an_example(package):
    missing = {str(m): sorted(set(EVERY_MODULE) - set(m.sections)) for m in modules(package)}
    assert {name: titles for name, titles in missing.items() if titles} == {}


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_class_with_arguments_explains_each_of_them(package):
    missing = {}
    for item in classes(package):
        assert isinstance(item.node, ast.ClassDef)
        text = item.section("Args") + item.section("Attributes")
        unnamed = [
            a
            for a in constructor_arguments(item.node)
            if not re.search(rf"^\s+[\w, *]*\b{a}\b[\w, *]*[:(]", text, re.MULTILINE)
        ]
        if unnamed:
            missing[str(item)] = unnamed
    assert missing == {}


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_class_that_raises_says_what(package):
    silent = [
        str(item)
        for item in modules(package)
        if raises_something(item.node, item.source) and "Raises" not in item.sections
    ]
    assert silent == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_class_that_meets_other_ranks_says_how(package):
    silent = [
        str(item)
        for item in modules(package)
        if re.search(r"_collectives|_distributed", ast.unparse(item.source.tree)) and "Distributed" not in item.sections
    ]
    assert silent == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_loss_prints_its_equation(package):
    assert [str(m) for m in modules(package) if m.name.endswith("Loss") and ".. math::" not in m.text] == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_sections_come_in_the_fixed_order(package):
    mixed = {str(item): item.sections for item in public(package)}
    wrong = {name: found for name, found in mixed.items() if found != sorted(found, key=SECTIONS.index)}
    assert wrong == {}


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_example_can_be_run(package):
    assert [
        str(item) for item in public(package) if "Example" in item.sections and ">>> " not in item.section("Example")
    ] == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_a_functional_twin_has_one_line_that_points_at_its_class(package):
    wrong = [str(f) for f in twins(package) if "\n" in f.text or ":class:`" not in f.text]
    assert wrong == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_any_other_public_function_points_at_a_class_or_names_its_arguments_and_shows_an_example(package):
    twin_names = {f.name for f in twins(package)}
    wrong = {}
    for function in public_functions(package):
        assert isinstance(function.node, ast.FunctionDef)
        if function.name in twin_names or re.search(r":(class|func):`", function.text):
            continue  # the contract is there
        unnamed = [a for a in function_arguments(function.node) if not re.search(rf"\b{a}\b", function.text)]
        if unnamed or "Example" not in function.sections:
            wrong[str(function)] = unnamed + ["Example"] * ("Example" not in function.sections)
    assert wrong == {}


@pytest.mark.parametrize("package", COMPONENTS)
def test_every_public_method_says_what_it_does(package):
    silent = [
        f"{item} .{method.name}"
        for item in classes(package)
        for method in item.node.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and not ast.get_docstring(method)
    ]
    assert silent == []
