"""Import a package with one planted bug, without touching its files or the copy already imported."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType


class _Mutation(MetaPathFinder):
    """Loads `module` with `old` replaced by `new`; operators registered with torch get a name of their own."""

    def __init__(self, package: str, module: str, old: str, new: str) -> None:
        self.package, self.module, self.old, self.new = package, module, old, new

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(self.package):
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

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        source = self.get_data(self.path).decode()
        if fullname == f"{self.mutation.package}.{self.mutation.module}":
            if source.count(self.mutation.old) != 1:
                raise ValueError(f"{fullname} holds {source.count(self.mutation.old)} times: {self.mutation.old}")
            source = source.replace(self.mutation.old, self.mutation.new)
        return compile(source.replace('custom_op("', 'custom_op("mutant_'), self.path, "exec", dont_inherit=True)


@contextmanager
def mutated(package: str, module: str, old: str, new: str) -> Iterator[ModuleType]:
    """Yield a fresh import of `package` in which `old`, found exactly once in `module`, reads `new`."""

    def ours(name: str) -> bool:
        return name == package or name.startswith(package + ".")

    parent, _, child = package.rpartition(".")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if ours(name)}
    finder = _Mutation(package, module, old, new)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module(package)
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if ours(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        if package in kept:
            setattr(sys.modules[parent], child, kept[package])
