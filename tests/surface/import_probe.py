"""Run by ``test_import_isolation.py`` in its own process: import a package under watch, print what it did as JSON.

    python import_probe.py PACKAGE examples|no-examples DEPENDENCY,... ALLOWED_FOLDER...

Phases: what the package depends on; the package; all its modules; the examples in their docstrings. Files count when
they are written, or read from outside the allowed folders (where code lives).
"""

import doctest
import importlib
import json
import os
import pkgutil
import sys
from typing import Any

SOCKETS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}
STARTING = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"}
# What the interpreter and the C library look at for themselves.
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")


class Watch:
    """What happened, by phase, since the hook was added."""

    def __init__(self, allowed: list[str]) -> None:
        self.allowed = tuple(allowed) + SYSTEM
        self.events: dict[str, list[str]] = {}
        self.phase = "none"

    def begin(self, phase: str) -> None:
        self.phase = phase
        self.events[phase] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int):
                return
            name = os.path.abspath(os.fsdecode(path))
            if isinstance(flags, int) and flags & WRITING:
                self.note(f"writes {name}")
            elif not name.startswith(self.allowed) and not name.endswith((".py", ".pyc", ".so")):
                self.note(f"reads {name}")
        elif event in SOCKETS | CHANGING | STARTING:
            self.note(f"{event} {arguments}")

    def note(self, what: str) -> None:
        if self.phase != "none":
            self.events[self.phase].append(what)


def import_all(package: Any) -> list[Any]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found if not module.name.endswith("__main__")]


def main(name: str, dependencies: list[str], allowed: list[str], *, examples: bool) -> None:
    watch = Watch(allowed)
    sys.addaudithook(watch)
    report: dict[str, Any] = {"events": watch.events}
    watch.begin("dependencies")
    for dependency in dependencies:
        importlib.import_module(dependency)
    watch.begin("import")
    package = importlib.import_module(name)
    report["modules"] = sorted(sys.modules)
    torch = sys.modules.get("torch")
    report["process_group"] = bool(torch and torch.distributed.is_available() and torch.distributed.is_initialized())
    watch.begin("all modules")
    modules = import_all(package)
    report["modules_after_all"] = sorted(sys.modules)
    report["failed_examples"] = []
    if examples:
        watch.begin("examples")
        for module in modules:
            failed = doctest.testmod(module, report=False).failed
            if failed:
                report["failed_examples"].append(module.__name__)
    watch.phase = "none"
    sys.stdout.write("\n" + json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3].split(","), sys.argv[4:], examples=sys.argv[2] == "examples")
