"""Planted bugs: a test under `@catches` runs once more on its package with one place changed, and must fail there.

No file is touched, and the package that is already imported stays as it is: a copy of it is loaded, and for the time
of one test the modules, classes and functions that the test's module took from the package mean those of the copy.
What a module of tests built from them when it was imported (a table of bound functions, an object) does not.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis.errors import HypothesisException


class Bug(NamedTuple):
    """One place of a module that reads otherwise."""

    module: str
    old: str
    new: str

    @property
    def package(self) -> str:
        """What is imported anew: ``vistok.losses`` of ``vistok.losses.chroma``, ``glotok`` of ``glotok.model``."""
        parts = self.module.split(".")
        return ".".join(parts[: 2 if parts[0] == "vistok" else 1])

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.module.rpartition('.')[2]}: {old} -> {new or 'nothing'}"


_planted: list[Bug] = []


def catches(module: str, old: str, new: str) -> pytest.MarkDecorator:
    """Mark a test that must fail when ``old``, found exactly once in ``module``, reads ``new``."""
    return pytest.mark.catches(Bug(module, old, new))


def planted_bug() -> Bug | None:
    """Return the bug under which the test of this moment runs."""
    return _planted[-1] if _planted else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test under `catches` one more case a bug."""
    bugs = [mark.args[0] for mark in metafunc.definition.iter_markers("catches")]
    if bugs:
        metafunc.fixturenames.append("planted_bug")
        metafunc.parametrize("planted_bug", [None, *bugs], ids=[pytest.HIDDEN_PARAM, *map(str, bugs)])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the case of a bug."""
    bug = pyfuncitem.callspec.params.get("planted_bug") if hasattr(pyfuncitem, "callspec") else None
    if not isinstance(bug, Bug):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    must_notice(bug, pyfuncitem.obj, vars(pyfuncitem.module), **arguments)
    return True


def must_notice(bug: Bug, test: Callable[..., object], namespace: dict[str, Any], **arguments: object) -> None:
    """Fail unless ``test``, whose module has the ``namespace``, fails with the bug planted."""
    with planted(bug, namespace), _ended_by_the_first_failure(test), _unexplained():
        try:
            test(**arguments)
        except (NameError, HypothesisException) as error:
            raise ValueError(f"the planted bug does not run: {bug}") from error
        except (Exception, pytest.fail.Exception, _Noticed):
            return
    pytest.fail(f"not caught: {bug}", pytrace=False)


@contextmanager
def planted(bug: Bug, namespace: dict[str, Any]) -> Iterator[None]:
    """Let the names that a module's ``namespace`` took from the bug's package mean the package with the bug."""
    with mutated(bug.package, bug.module.removeprefix(f"{bug.package}."), bug.old, bug.new):
        kept = {name: value for name, value in namespace.items() if _is_under(_home(value), bug.package)}
        _planted.append(bug)
        try:
            namespace.update({name: _counterpart(value) for name, value in kept.items()})
            yield
        finally:
            _planted.pop()
            namespace.update(kept)


@contextmanager
def mutated(package: str, module: str, old: str, new: str) -> Iterator[ModuleType]:
    """Yield a fresh import of ``package`` in which ``old``, found exactly once in ``module``, reads ``new``."""
    parent, _, child = package.rpartition(".")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_under(name, package)}
    finder = _Mutation(package, module, old, new)
    sys.meta_path.insert(0, finder)
    try:
        fresh = importlib.import_module(package)
        importlib.import_module(f"{package}.{module}")
        yield fresh
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_under(name, package)]:
            del sys.modules[name]
        sys.modules.update(kept)
        if package in kept and parent:
            setattr(sys.modules[parent], child, kept[package])


class _Mutation(MetaPathFinder):
    """Finds the modules of a package and has them loaded with the mutation."""

    def __init__(self, package: str, module: str, old: str, new: str) -> None:
        self.package, self.module, self.old, self.new = package, module, old, new

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not _is_under(name, self.package):
            return None
        spec = PathFinder.find_spec(name, path)  # type: ignore[arg-type]
        if spec is None or spec.origin is None:
            return spec
        spec.loader = _Loader(name, spec.origin, self)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, origin: str, mutation: _Mutation) -> None:
        super().__init__(name, origin)
        self.mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        if fullname != f"{self.mutation.package}.{self.mutation.module}":
            return _compiled(self.path)
        return _compiled(self.path, self.mutation.old, self.mutation.new)


@functools.cache
def _compiled(path: str, old: str | None = None, new: str = "") -> CodeType:
    """Compile a file with ``old`` replaced; operators registered with torch get a name of their own."""
    with open(path, encoding="utf-8") as file:
        source = file.read()
    if old is not None:
        if source.count(old) != 1:
            raise ValueError(f"{path} holds {source.count(old)} times: {old}")
        source = source.replace(old, new)
    return compile(source.replace('custom_op("', 'custom_op("mutant_'), path, "exec", dont_inherit=True)


def _is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _home(value: object) -> str:
    """The name of the module that a value is or was defined in."""
    if isinstance(value, ModuleType):
        return value.__name__
    return (value.__module__ or "") if isinstance(value, (type, FunctionType)) else ""  # torch's compiler names none


def _counterpart(value: Any) -> object:
    found: Any = importlib.import_module(_home(value))
    if not isinstance(value, ModuleType):
        for part in value.__qualname__.split("."):
            found = getattr(found, part)
    return found


@contextmanager
def _unexplained() -> Iterator[None]:
    """Leave out what pytest says of two values that differ: for long lists it takes seconds, and nobody reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("_pytest.assertion.util._reprcompare", None, raising=False)
        yield


class _Noticed(BaseException):
    """Ends a property test where it first fails: the smallest example of a planted bug is of no interest."""


@contextmanager
def _ended_by_the_first_failure(test: Callable[..., object]) -> Iterator[None]:
    handle = getattr(test, "hypothesis", None)
    if handle is None:
        yield
        return
    whole = handle.inner_test

    @functools.wraps(whole)
    def one_example(*args: object, **kwargs: object) -> None:
        try:
            whole(*args, **kwargs)
        except (HypothesisException, NameError):
            raise
        except (Exception, pytest.fail.Exception) as error:
            raise _Noticed from error

    handle.inner_test = one_example
    try:
        yield
    finally:
        handle.inner_test = whole
