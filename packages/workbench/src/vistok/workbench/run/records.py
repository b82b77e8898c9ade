"""The records of a run's stages: what each depended on, and the checksums of what it wrote."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import list_checkpoints
from vistok.workbench.run.files import sha256, write_atomically
from vistok.workbench.run.inventory import Inventory

RECORDS = "stages"
_AT_A_TIME = 4  # files that are read for their checksums


@dataclass(frozen=True)
class Record:
    """What a run's folder says of a stage, kept in ``stages/<name>.json``.

    Attributes:
        name: The stage's.
        needs: Names of the stages that it read.
        settings: What it depended on, by dotted key.
        outputs: SHA-256 of each file that it wrote, by its path in the run's folder; empty until it is finished.
        checkpoints: Where it keeps its training state, if it trains.
        cost: What it took, see :mod:`vistok.workbench.run.costs`; of an interrupted one, so far.
        images: Those that it was run with; none of a run of before they were written down.
    """

    name: str
    needs: list[str]
    settings: dict[str, Any]
    outputs: dict[str, str] = field(default_factory=dict)
    checkpoints: str | None = None
    cost: dict[str, float] = field(default_factory=dict)
    images: Inventory | None = None


@dataclass(frozen=True)
class Records:
    """All records of a run's folder, read anew at each call."""

    folder: Path

    def read(self) -> dict[str, Record]:
        """The records by the names of their stages.

        Raises:
            ConfigError: One is damaged.
        """
        found = {}
        for path in sorted((self.folder / RECORDS).glob("*.json")):
            try:
                record = Record(**json.loads(path.read_text(encoding="utf-8")))
                if record.images is not None:
                    record = replace(record, images=Inventory(**record.images))  # type: ignore[arg-type]  # as JSON
            except FileNotFoundError:
                continue  # another process of the launch has set it aside in this moment
            except (ValueError, TypeError) as error:
                raise ConfigError(f"{path}: damaged ({error}); remove it to run its stage again") from None
            found[record.name] = record
        return found

    def write(self, record: Record) -> None:
        """Keep a record."""
        write_atomically(self.file(record.name), json.dumps(asdict(record), indent=2) + "\n")

    def finish(self, record: Record, outputs: tuple[Path, ...]) -> None:
        """Keep a record with the checksums of what its stage wrote."""
        files = [file for path in outputs for file in _files(path)]
        record.outputs.update(zip(map(self.relative, files), _checksums(files), strict=True))
        self.write(record)

    def file(self, name: str) -> Path:
        """Where the record of a stage is kept."""
        return self.folder / RECORDS / f"{name}.json"

    def relative(self, path: Path) -> str:
        """A path as records name it."""
        return path.relative_to(self.folder).as_posix()

    def damaged(self, record: Record) -> str | None:
        """The first output that is gone or holds other bytes than the stage wrote."""
        files = {path: self.folder / path for path in record.outputs}
        gone = [path for path, file in files.items() if not file.is_file()]
        if gone:
            return gone[0]
        found = zip(files, _checksums(list(files.values())), strict=True)
        return next((path for path, digest in found if digest != record.outputs[path]), None)

    def lacks(self, record: Record, outputs: tuple[Path, ...]) -> bool:
        """Whether a finished stage has not written one of these outputs: what it writes was another file once."""
        written = [self.folder / path for path in record.outputs]
        return any(not any(file.is_relative_to(path) for file in written) for path in outputs)

    def has_checkpoints(self, record: Record) -> bool:
        """Whether there is a training state to continue from."""
        return record.checkpoints is not None and bool(list_checkpoints(self.folder / record.checkpoints))


def all_needs(record: Record, records: dict[str, Record]) -> set[str]:
    """Everything that a stage read, and that those read in turn."""
    found = set(record.needs)
    for name in record.needs:
        if name in records:
            found |= all_needs(records[name], records)
    return found


def differences(
    saved: dict[str, Any], asked: dict[str, Any], defaults: Mapping[str, Any] | None = None, prefix: str = ""
) -> list[str]:
    """The settings that differ, as ``key was X, now Y``.

    Args:
        saved: What a record says.
        asked: What the configuration says.
        defaults: What a setting counts as that is not in the record, since it came to the product later.
        prefix: Of the keys.
    """
    found = []
    defaults = defaults or {}
    for key in dict.fromkeys((*saved, *asked)):
        was, now = saved.get(key, defaults.get(key, "not there")), asked.get(key, "not there")
        if isinstance(was, dict) and isinstance(now, dict):
            found += differences(was, now, defaults.get(key), f"{prefix}{key}.")
        elif was != now:
            found.append(f"{prefix}{key} was {was}, now {now}")
    return found


def _files(path: Path) -> list[Path]:
    """A file itself, or all in a folder but for those that are being written."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _checksums(files: list[Path]) -> list[str]:
    """The checksum of each file; several are read at a time."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(sha256, files))


def followers(name: str, records: dict[str, Record]) -> list[Record]:
    """The records of a stage and of all that was made of what it wrote."""
    return [record for record in records.values() if name in (record.name, *all_needs(record, records))]


def some_of(different: list[str]) -> str:
    """The first three of what differs, and how many more there are.

    Example:
        >>> some_of(["a was 1, now 2", "b was 1, now 2", "c was 1, now 2", "d was 1, now 2"])
        'a was 1, now 2; b was 1, now 2; c was 1, now 2; and 1 more'
    """
    return "; ".join(different[:3]) + (f"; and {len(different) - 3} more" if len(different) > 3 else "")


def value_at(values: Any, key: str) -> Any:
    """What settings have at a dotted key.

    Raises:
        KeyError: They have no such key.
        TypeError: What they have on the way is no section.

    Example:
        >>> value_at({"train": {"steps": 2}}, "train.steps")
        2
    """
    for part in key.split("."):
        values = values[part]
    return values


def found_at(values: Any, keys: Iterable[str]) -> dict[str, Any]:
    """What settings have at dotted keys, without those that they do not have.

    Example:
        >>> found_at({"train": {"steps": 2}}, ["train.steps", "train.pace", "train.steps.first", "seed"])
        {'train.steps': 2}
    """
    found = {}
    for key in keys:
        with contextlib.suppress(KeyError, TypeError):
            found[key] = value_at(values, key)
    return found
