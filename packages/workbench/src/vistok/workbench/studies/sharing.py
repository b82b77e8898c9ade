"""Stages that two runs have in common run once: their files go from one folder to the other."""

import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.folder import MARK, STUDY, is_run
from vistok.workbench.run.paths import METRICS
from vistok.workbench.run.records import Record, Records, all_needs
from vistok.workbench.studies.cells import Run

logger = logging.getLogger(__name__)

_KEY = f"{STUDY}/run.json"
_SOURCE = "source"  # of its images, beside the key


def has_source(run: Run, runs: Path) -> bool:
    """Whether a run's folder, as far as is known, is of these images, not of others that are called the same."""
    return _kept_source(run, runs) in (None, run.source)


def check_source(run: Run, runs: Path) -> None:
    """Raise :class:`ConfigError` where a run's folder is of other images that are called the same."""
    if run.data and not has_source(run, runs):
        raise ConfigError(
            f"data: expected {run.data.name} to be {_kept_source(run, runs)}, of which {runs / run.name} is made, got "
            f"{run.source}; --data NAME={run.data.source} calls other images otherwise, --runs keeps them apart"
        )


def share_stages(run: Run, runs: Path) -> list[str]:
    """Give a run that has not begun the finished stages that another one has and that its settings do not touch.

    The other run has the same recipe, configuration, data (of the same place) and seed. A stage is shared if no setting
    that differs is one of those that its record names, nor of those that it needs; the recipe checks this again when it
    reads them.

    Args:
        run: Whose folder is filled; what it is made of is written there.
        runs: The folder of all runs.

    Returns:
        The names of the stages, in no order; none if the run has begun.
    """
    folder = runs / run.name
    key = {**run.key, _SOURCE: run.source}
    write_atomically(folder / _KEY, json.dumps(key, indent=2) + "\n")
    if is_run(folder):
        return []
    givers = {
        path.parents[1]: _shared(json.loads(path.read_text(encoding="utf-8")), key, path.parents[1])
        for path in sorted(runs.glob(f"*/{_KEY}"))
    }
    for giver, shared in sorted(givers.items(), key=lambda item: -len(item[1])):
        if shared and not any(map(Records(giver).damaged, shared.values())):
            _copy(giver, folder, shared.values())
            logger.info("%s: %s from %s", run.name, ", ".join(shared), giver.name)
            return list(shared)
    return []


def _kept_source(run: Run, runs: Path) -> str | None:
    """None where nothing is made of it yet, as of images that are not there, and of runs of before it was kept."""
    folder = runs / run.name
    known = is_run(folder) and (folder / _KEY).exists()
    source: str | None = read_json(folder / _KEY).get(_SOURCE) if known else None
    return source


def _shared(theirs: dict[str, Any], ours: dict[str, Any], giver: Path) -> dict[str, Record]:
    theirs = {_SOURCE: ours[_SOURCE], **theirs}
    if {**theirs, "set": None} != {**ours, "set": None} or not is_run(giver):
        return {}
    changed = [
        key
        for key in theirs["set"].keys() | ours["set"].keys()
        if (key in theirs["set"], theirs["set"].get(key)) != (key in ours["set"], ours["set"].get(key))
    ]
    finished = {name: record for name, record in Records(giver).read().items() if record.outputs}
    untouched = {
        name
        for name, record in finished.items()
        if not any(_within(key, setting) for key in changed for setting in record.settings)
    }
    return {name: record for name, record in finished.items() if {name, *all_needs(record, finished)} <= untouched}


def _within(key: str, setting: str) -> bool:
    """Whether one of two dotted keys is the other, or a part of it."""
    one, other = key.split("."), setting.split(".")
    return all(a == b for a, b in zip(one, other, strict=False))


def _copy(giver: Path, folder: Path, records: Iterable[Record]) -> None:
    """The mark first: without it the recipe would take the folder for somebody else's. The records last."""
    paths = [MARK, *(path for record in records for path in record.outputs)]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(giver / path, folder / path)
    if (giver / METRICS).exists():
        text = (giver / METRICS).read_bytes()
        (folder / METRICS).write_bytes(text[: text.rfind(b"\n") + 1])  # it may be written to at this moment
    for record in records:
        Records(folder).write(record)
