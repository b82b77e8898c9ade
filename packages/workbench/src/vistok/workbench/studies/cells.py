"""The cells of a study, one a row and seed: whose folder each has, and the commands that fill it."""

import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from vistok.workbench.config import ConfigError, read_mapping
from vistok.workbench.data.named_sets import DIGITS, OPENMOJI
from vistok.workbench.run.folder import plain_name
from vistok.workbench.studies.schema import RUN_OF, Row, Study, config_for, runs_in

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_FILES = (".yaml", ".yml")
_TRAIN_GENERATOR = "train-generator"  # the stage, of every recipe that has generators

#: In a run's settings: the folder of all runs, which decides nothing.
RUNS = "{runs}"


class Data(NamedTuple):
    """The images of a study: what they are called, and where recipes find them."""

    name: str
    source: str

    @property
    def is_missing(self) -> bool:
        """Whether the source is a path by how it begins, and no pattern, and nothing is there."""
        is_path = self.source.startswith(("/", "./", "../", "~")) and not {"*", "{"} & {*self.source}
        return is_path and not os.path.exists(os.path.expanduser(self.source))


@dataclass(frozen=True)
class Run:
    """What a run's folder holds, whatever is drawn and measured in it; equal ones share a folder.

    Attributes:
        recipe: The module that makes it.
        config: The name of a shipped configuration, or the path of a file.
        data: The images; none: those of the configuration.
        seed: What everything random follows from.
        set: Dotted keys and what they are set to.
    """

    recipe: str
    config: str
    data: Data | None
    seed: int
    set: Mapping[str, Any]

    @cached_property
    def key(self) -> dict[str, Any]:
        """All that decides what is in the folder, as JSON: of a configuration's file its content, of data the name."""
        content = read_mapping(self.config) if self.config.endswith(_FILES) else None
        return {
            "recipe": self.recipe,
            "config": Path(self.config).stem if content is not None else self.config,
            "content": content,
            "data": self.data and self.data.name,
            "seed": self.seed,
            "set": {name: plain_value(value) for name, value in self.set.items()},
        }

    @cached_property
    def source(self) -> str | None:
        """Where its images are: of a file or folder here the whole path; none: the configuration says it."""
        source = self.data and self.data.source
        path = os.path.expanduser(source or "")
        return os.path.realpath(path) if os.path.exists(path) and source not in (DIGITS, OPENMOJI) else source

    @cached_property
    def name(self) -> str:
        """The folder's name: readable, and the same for the same key only."""
        text = json.dumps(self.key, sort_keys=True)
        parts = (self.recipe, Path(self.config).stem, *([self.data.name] if self.data else []), f"s{self.seed}")
        readable = "-".join(dict.fromkeys(re.sub(r"[^\w.]+", "_", part)[:24] for part in parts))
        return f"{readable}-{short_checksum(text)}"

    @cached_property
    def shipped(self) -> Mapping[str, Any] | None:
        """What the recipe's configuration of this name says; none of a file, whose content is in the key."""
        folder = None if self.config.endswith(_FILES) else _folder_of(self.recipe)
        file = folder and folder / "configs" / f"{self.config}.yaml"
        return read_mapping(file) if file and file.is_file() else None


@dataclass(frozen=True)
class Cell:
    """One row at one seed: a run, and what is drawn and measured in it.

    Attributes:
        row: The row's name.
        run: The folder that it shares with all that need the same.
        generators: Trained and drawn from in turn; none: whatever the recipe does without being told.
        samples: The sample set; none: the generator's first one.
        evaluation: The evaluation; none: the configuration's first one.
        skip: Stages of the recipe that do not run.
        after: The runs that it reads from, which come first: the row of each by its folder's name.
    """

    row: str
    run: Run
    generators: tuple[str, ...]
    samples: str | None
    evaluation: str | None
    skip: tuple[str, ...]
    after: Mapping[str, str] = field(default_factory=dict)

    @property
    def request(self) -> str:
        """A name for what is asked of the run, the same for equal requests."""
        asked = (self.generators, self.samples, self.evaluation, self.skip)
        return short_checksum(json.dumps(asked))

    @property
    def family(self) -> str:
        """Runs that may have stages in common: all is the same but what is set."""
        return json.dumps({**self.run.key, "set": None}, sort_keys=True)

    @property
    def shipped(self) -> str | None:
        """The checksum of what its stages read of the recipe's configuration: of generators those that it trains.

        None where the configuration is a file, or is not there.
        """
        if self.run.shipped is None:
            return None
        every = self.run.shipped.get("generators", {})
        trained = () if _TRAIN_GENERATOR in self.skip else self.generators or every
        read = {**self.run.shipped, "generators": {name: every[name] for name in every if name in trained}}
        return short_checksum(json.dumps(read, sort_keys=True))

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.row}, seed {self.run.seed}"

    def commands(self, runs: Path) -> list[list[str]]:
        """The command lines that make it, or go on with it, in turn: one a generator."""
        options = ["--config", self.run.config, "--name", self.run.name, "--runs", str(runs)]
        options += ["--seed", str(self.run.seed), "--resume"]
        options += ["--data", self.run.data.source] if self.run.data else []
        options += ["--samples", self.samples] if self.samples else []
        options += ["--evaluation", self.evaluation] if self.evaluation else []
        options += ["--skip", *self.skip] if self.skip else []
        for key, value in sorted(self.run.set.items()):  # a section before what is set within it
            text = json.dumps(value, ensure_ascii=False)
            options += ["--set", f"{key}={text.replace(RUNS, str(runs.resolve()))}"]
        begin = [sys.executable, "-m", self.run.recipe, "demo"]
        return [[*begin, *options, *(["--generator", name] if name else [])] for name in self.generators or ("",)]


def short_checksum(text: str) -> str:
    """Ten digits that are other ones for another text."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def named_data(text: str) -> Data:
    """What an option says of the images: a source, which is called as it ends, or ``name=source``.

    Example:
        >>> named_data("/data/emoji64"), named_data("mine=/data/emoji64").name, named_data("digits").source
        (Data(name='emoji64', source='/data/emoji64'), 'mine', 'digits')
    """
    name, equals, source = text.partition("=")
    if not equals or "/" in name:
        name, source = Path(text).name.removesuffix(".parquet"), text
    try:
        return Data(plain_name(name), source)
    except ValueError as error:
        raise ConfigError(f"data: {error}") from None


def plain_value(value: Any) -> Any:
    """A value with its numbers written one way.

    Example:
        >>> plain_value({"a": "1e-3", "b": [2.0, True, "xar"]})
        {'a': 0.001, 'b': [2, True, 'xar']}
    """
    if isinstance(value, Mapping):
        return {key: plain_value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(part) for part in value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def chosen_data(study: Study, asked: str | None) -> Data | None:
    """The images of a study: those asked for, the first that its file names, or those of the configuration itself."""
    if asked is None and not study.data:
        return None
    data = named_data(next(iter(study.data)) if asked is None else asked)
    listed = study.data.get(data.name)
    return Data(data.name, listed.source) if listed and listed.source and data.source == data.name else data


def cells_of(
    study: Study,
    place: Path,
    *,
    data: Data | None,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """The cells of a study: all rows at the first seed, then all at the next.

    Args:
        study: It.
        place: The folder of its file: configurations that are files lie relative to it.
        data: The images.
        seeds: In place of the study's.
        only: Some of its rows; those whose runs they read from are added.
        overrides: Settings that have the last word.

    Raises:
        ConfigError: There is no such row, or no configuration for these images, or all rows read from one.
    """
    for name in only:
        if name not in study.rows:
            raise ConfigError(f"only: expected some of {', '.join(study.rows)}, got {name!r}")
    listed = data is None or data.name in study.data
    per_data = study.data[data.name].set if data and listed else {}
    shared = {**study.set, **per_data, **(overrides or {})}
    for setting, value in shared.items():
        if runs_in(value):
            raise ConfigError(f"set: expected {{run of ROW}} in the settings of a row alone, got {setting}={value!r}")
    wanted = {*only, *(needed for name in only for needed in study.rows[name].needs)}
    rows = {name: row for name, row in study.rows.items() if not only or name in wanted}

    def cell(name: str, row: Row, seed: int) -> Cell:
        key = "config" if row.config is None else f"rows.{name}.config"
        config = config_for(row.config or study.config, data and data.name, key=key)
        config = str((place / config).resolve()) if config.endswith(_FILES) else config
        settings: dict[str, Any] = {}
        after: dict[str, str] = {}
        own = {**row.set, **({} if listed else row.set_elsewhere)}
        for layer in (study.set, per_data, own, overrides or {}):
            for setting, value in layer.items():
                needed = {other: cell(other, study.rows[other], seed).run.name for other in runs_in(value)}
                after |= {name: other for other, name in needed.items()}
                for within in [key for key in settings if key.startswith(f"{setting}.") and key not in layer]:
                    del settings[within]
                settings[setting] = _with_folders(value, needed)
        run = Run(row.recipe or study.recipe, config, data, seed, settings)
        samples, evaluation = row.samples or study.samples, row.evaluation or study.evaluation
        return Cell(name, run, study.generators_of(name), samples, evaluation, study.skip, after)

    return [cell(name, row, seed) for seed in seeds or study.seeds for name, row in rows.items()]


def _with_folders(value: Any, names: Mapping[str, str]) -> Any:
    """A setting with the folders of the rows that it names in their places."""
    if isinstance(value, Mapping):
        return {key: _with_folders(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_folders(part, names) for part in value]
    return RUN_OF.sub(lambda run: f"{RUNS}/{names[run[1]]}", value) if isinstance(value, str) else value


def _folder_of(recipe: str) -> Path | None:
    """Where a recipe's package lies, which is not imported for it; none where it is a single file or not there."""
    try:
        spec = importlib.util.find_spec(recipe)
    except ModuleNotFoundError:  # of a dotted name, the part before
        return None
    places = spec and spec.submodule_search_locations
    return Path(next(iter(places))) if places else None
