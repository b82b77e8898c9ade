"""The folder of a run: resolved configuration, environment record, metrics, checkpoints, pictures, report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from vistok.workbench.config import Config, ConfigError, load_config, save_config
from vistok.workbench.files import write_atomically as write_atomically

_RECORDED = (
    *("vistok-losses", "vistok-quantizers", "vistok-generators", "vistok-workbench", "vistok-recipes"),
    *("torch", "torchvision", "timm", "accelerate", "datasets", "numpy", "scikit-learn"),
)


def open_run(root: Path, name: str, config: Config, *, resume: bool, fresh: bool = False) -> Path:
    """Make or reopen ``root/name`` and write ``config.yaml`` and ``environment.json`` into it.

    Args:
        root: Where runs live.
        name: The run's folder.
        config: The resolved configuration.
        resume: Reopen an existing run; its configuration must be the same.
        fresh: Throw an existing run away first.

    Raises:
        ConfigError: The run exists and neither ``resume`` nor ``fresh`` is set, or it has another configuration.
    """
    folder = root / name
    saved = folder / "config.yaml"
    if fresh and folder.exists():
        if not saved.exists():
            raise ConfigError(f"{folder}: not a run (no config.yaml in it), so it is not removed")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if saved.exists():
        if not resume:
            raise ConfigError(f"{folder}: this run exists; --resume continues it, --fresh starts it again from nothing")
        different = _differences(load_config(type(config), saved).model_dump(), config.model_dump())
        if different:
            raise ConfigError(f"{folder}: made with another configuration, {'; '.join(different)}")
        return folder
    save_config(config, saved)
    (folder / "environment.json").write_text(json.dumps(environment_record(), indent=2) + "\n", encoding="utf-8")
    return folder


def _differences(saved: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    """The settings that differ, as ``key was X, now Y``."""
    found = []
    for key, value in asked.items():
        if isinstance(value, dict) and isinstance(saved[key], dict):
            found += _differences(saved[key], value, f"{prefix}{key}.")
        elif value != saved[key]:
            found.append(f"{prefix}{key} was {saved[key]}, now {value}")
    return found


def environment_record() -> dict[str, Any]:
    """Versions, machine and threads: what a reader needs to judge the numbers of a run."""
    versions = {}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda_devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "versions": versions,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
