"""Importing a package has no effect on the world: no file, no socket, no process, no process group, nothing heavy."""

import json
import os
import site
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from surface.repository import COMPONENTS, PACKAGES, ROOT, SIBLINGS, import_name, source_folder

HEAVY = {"accelerate", "datasets", "timm", "xformers", "matplotlib"}
# What torch and the declared dependencies do for themselves at their import is not ours to judge.
DEPENDENCIES = {
    "losses": "torch",
    "quantizers": "torch,einops,vector_quantize_pytorch",
    "generators": "torch,einops",
    "metrics": "torch",
    "tokenizers": "torch,einops,vector_quantize_pytorch",
    "workbench": "torch",
}
PROBE = Path(__file__).with_name("import_probe.py")


@cache
def probe(package: str) -> dict[str, Any]:
    """What importing ``package`` in a fresh interpreter did."""
    allowed = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *site.getsitepackages()]
    allowed += [str(source_folder(other)) for other in PACKAGES]
    examples = "examples" if package in COMPONENTS else "no-examples"
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            "-W",
            "ignore",
            str(PROBE),
            import_name(package),
            examples,
            DEPENDENCIES[package],
            *allowed,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.parametrize("package", COMPONENTS)
def test_importing_a_component_touches_no_file_socket_or_process(package):
    events = probe(package)["events"]
    assert events["import"] == []
    assert events["all modules"] == []


@pytest.mark.parametrize("package", COMPONENTS)
def test_importing_a_component_starts_no_process_group(package):
    assert probe(package)["process_group"] is False


@pytest.mark.parametrize("package", COMPONENTS)
def test_importing_a_component_loads_nothing_heavy(package):
    report = probe(package)
    assert HEAVY.intersection(report["modules"]) == set()
    assert HEAVY.intersection(report["modules_after_all"]) == set()


@pytest.mark.parametrize("package", COMPONENTS)
def test_importing_a_component_loads_no_other_package_of_ours_than_it_builds_on(package):
    loaded = {name.split(".")[1] for name in probe(package)["modules_after_all"] if name.startswith("vistok.")}
    assert loaded == {package, *(name.split(".")[1] for name in SIBLINGS.get(package, ()))}


@pytest.mark.parametrize("package", COMPONENTS)
def test_building_and_calling_the_examples_needs_no_network_and_writes_nothing(package):
    report = probe(package)
    assert report["failed_examples"] == []
    # torch's compiler makes its cache folder when it is first imported, which torch does by itself.
    done = [e for e in report["events"]["examples"] if not e.startswith("reads ") and "torchinductor" not in e]
    assert done == []


def test_importing_the_workbench_opens_no_socket_and_no_process_group():
    report = probe("workbench")
    sockets = [e for phase in report["events"].values() for e in phase if e.startswith(("socket", "urllib"))]
    assert sockets == []
    assert report["process_group"] is False


def test_the_probe_sees_a_reader_a_writer_and_a_caller(tmp_path):
    package = tmp_path / "intruder"
    package.mkdir()
    (tmp_path / "data.txt").write_text("data")
    (package / "__init__.py").write_text(
        "import socket, subprocess, sys\n"
        f"open({str(tmp_path / 'data.txt')!r}).close()\n"
        f"open({str(tmp_path / 'out.txt')!r}, 'w').close()\n"
        "with socket.socket() as s:\n    s.settimeout(0.1)\n    s.connect_ex(('127.0.0.1', 9))\n"
        "subprocess.run([sys.executable, '-c', ''])\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", str(PROBE), "intruder", "no-examples", "json", sys.prefix, sys.base_prefix],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    events = " ".join(json.loads(done.stdout.splitlines()[-1])["events"]["import"])
    assert [word for word in ("reads", "writes", "socket.connect", "subprocess.Popen") if word not in events] == []
