"""The folder of a run: its mark, its configuration, the record of what made it, and setting old files aside."""

import json
import logging
import os
import platform
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.lock import NAME as LOCK
from vistok.workbench.run.paths import ENVIRONMENT, METRICS
from vistok.workbench.strict_yaml import write_yaml

logger = logging.getLogger(__name__)

MARK = "vistok-run.json"
ASIDE = "aside"
STUDY = "study"  # what a study keeps in the folder of a run: before the run begins, and whatever is set aside
CONFIG = "config.yaml"
OTHERS = "versions by stage"  # of an environment: those that were not as at the beginning
_MAKER = "made by"
_PLAIN = re.compile(r"[^\W_][\w .,+=@-]{0,99}")
_RECORDED = (
    *("vistok-losses", "vistok-quantizers", "vistok-generators", "vistok-metrics"),
    *("vistok-tokenizers", "vistok-workbench", "vistok-recipes"),
    *("torch", "torchvision", "timm", "accelerate", "datasets", "numpy", "scikit-learn"),
)


def plain_name(name: str) -> str:
    """The name of a run if it can be that of a folder, and of no other place.

    Raises:
        ValueError: It is empty, has a path in it, or could be taken for an option or a hidden file.

    Example:
        >>> plain_name("vit-b, 3rd try")
        'vit-b, 3rd try'
    """
    if not _PLAIN.fullmatch(name) or name.endswith((" ", ".")):
        raise ValueError(f"expected a plain name of letters, digits and - _ . , + = @, got {name!r}")
    return name


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's: only such a one is ever written to or moved."""
    return (folder / MARK).is_file()


def run_maker(folder: Path) -> str:
    """The recipe that made a run."""
    try:
        maker: str = json.loads((folder / MARK).read_text(encoding="utf-8"))[_MAKER]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{folder / MARK}: damaged; expected the name of the recipe that made the run") from None
    return maker


def check_folder(folder: Path, program: str) -> None:
    """Raise :class:`ConfigError` if the folder exists and is something else than a run of this recipe."""
    if is_run(folder):
        if (maker := run_maker(folder)) != program:
            raise ConfigError(f"{folder}: a run of {maker}, expected one of {program}; use another --name")
    elif folder.exists() and (not folder.is_dir() or any(path.name != STUDY for path in folder.iterdir())):
        raise ConfigError(f"{folder}: is not a run (no {MARK} in it) and is left alone; use another --name")


def mark_run(folder: Path, program: str) -> None:
    """Make the folder and mark it as a run's."""
    folder.mkdir(parents=True, exist_ok=True)
    if not is_run(folder):
        write_atomically(folder / MARK, json.dumps({_MAKER: program}) + "\n")


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML, every default spelled out."""
    write_atomically(path, write_yaml(config.model_dump(mode="json")))


def write_config(folder: Path, config: Config, stage: str, *, anew: bool) -> None:
    """Keep what a stage runs with: the resolved configuration, and what the run was begun on.

    Args:
        folder: The run's.
        config: Every default is spelled out.
        stage: Its name; where it meets other versions than the run began with, the log and the record say which.
        anew: Whether the run begins with it: what was recorded before is of files that are gone.
    """
    save_config(config, folder / CONFIG)
    file, now = folder / ENVIRONMENT, environment_record()
    if not anew and file.exists():
        begun = read_json(file, "versions")
        was = begun["versions"]
        changed = {name: version for name, version in now["versions"].items() if version != was.get(name, version)}
        if changed:
            logger.warning("%s: other versions than the run was begun with: %s", stage, named_versions(changed))
        others = {name: each for name, each in begun.pop(OTHERS, {}).items() if name != stage}
        others |= {stage: changed} if changed else {}
        now = begun | ({OTHERS: others} if others else {})
    write_atomically(file, json.dumps(now, indent=2) + "\n")


def named_versions(versions: Mapping[str, str]) -> str:
    """Versions by the names of packages, as one line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def set_aside(folder: Path, paths: list[Path]) -> None:
    """Move files of a run into a folder of it that is named by the time.

    Args:
        folder: The run's.
        paths: Files and folders in it; those that are not there, or in another of the folders, are passed over. Empty:
            everything.
    """
    if paths:
        there = [path for path in paths if path.exists() and not any(folder in paths for folder in path.parents)]
    else:
        there = [path for path in sorted(folder.iterdir()) if path.name not in (ASIDE, LOCK, MARK, STUDY)]
    if not there:
        return
    target = _free(folder / ASIDE / time.strftime("%Y-%m-%d-%H%M%S"))
    for path in there:
        moved = target / path.relative_to(folder)
        moved.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, moved)
    for kept in (CONFIG, ENVIRONMENT, METRICS):  # what the moved files were made with and on, and their curves
        if (folder / kept).exists():
            shutil.copy(folder / kept, target / kept)
    logger.info("set %s aside in %s", "the old run" if not paths else ", ".join(p.name for p in there), target)


def _free(path: Path) -> Path:
    candidates = (path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000)))
    return next(candidate for candidate in candidates if not candidate.exists())


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
        "command": shlex.join([*_program(), *sys.argv[1:]]),
    }


def _program() -> list[str]:
    """The words that start this program: a module that ``python -m`` runs is a file of some path in ``sys.argv``."""
    module = sys.modules["__main__"].__spec__
    return ["python", "-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
