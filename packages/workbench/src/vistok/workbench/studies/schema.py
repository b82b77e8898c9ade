"""The file of a study: which recipe with which settings, what is read from its evaluations, what a paper reports."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vistok.workbench.config import Config, ConfigError, Seed, load_config
from vistok.workbench.recipe_config import EntryName
from vistok.workbench.run.folder import plain_name

#: What stands in a measure's path for the sample set of a generator.
SAMPLES = "{samples}"

#: In a setting: the folder of another row's run at the same seed.
RUN_OF = re.compile(r"\{run of ([^}]+)\}")

#: The entry of a mapping from data to configurations that is meant for data not in it.
OTHERWISE = "default"


def _module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"expected a module that python -m can run, got {name[:80]!r}")
    return name


def _label(name: str) -> str:
    if not (name.isprintable() and 1 <= len(name) <= 80 and name == name.strip()):
        raise ValueError(f"expected 1 to 80 printable characters, got {name[:80]!r}")
    return name


def _only_one(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def runs_in(value: Any) -> list[str]:
    """The rows whose folders a setting names, also within sections and lists."""
    if isinstance(value, str):
        return RUN_OF.findall(value)
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [name for part in parts for name in runs_in(part)]


Recipe = Annotated[str, AfterValidator(_module)]
Label = Annotated[str, AfterValidator(_label)]
FolderName = Annotated[str, AfterValidator(plain_name)]
Settings = dict[str, Any]
"""Dotted keys and what they are set to."""
ConfigByData = str | Annotated[dict[str, str], Field(min_length=1)]
"""The name or the file of a configuration, or one for each data set by name."""


class Measure(Config):
    """A number of an evaluation."""

    path: str | dict[Recipe, str]  # dotted, in the evaluation's JSON; by recipe where they name it differently
    better: Literal["higher", "lower", "none"] = "none"
    unit: str = ""
    digits: int = Field(2, ge=0, le=9)  # after the point, on the pages

    def path_of(self, recipe: str) -> str | None:
        """Where a recipe's evaluation has it, if it has it."""
        return self.path if isinstance(self.path, str) else self.path.get(recipe)

    @property
    def of_samples(self) -> bool:
        """Whether it is measured once for each generator."""
        return SAMPLES in (self.path if isinstance(self.path, str) else "".join(self.path.values()))


class DataSettings(Config):
    """What a data set needs beside its configuration."""

    source: str | None = None  # by default the name
    set: Settings = Field({})


class Row(Config):
    """One line of the table: what differs from the study's settings.

    ``{run of ROW}`` in a setting is the folder of another row's run at the same seed, which is then made first.
    """

    set: Settings = Field({})
    set_elsewhere: Settings = Field({})  # too, with images that the study does not list
    recipe: Recipe | None = None
    config: ConfigByData | None = None
    generator: EntryName | None = None
    samples: EntryName | None = None
    evaluation: EntryName | None = None
    note: str = ""
    paper: dict[str, float] = Field({})  # what the paper has for this row, by measure

    @property
    def needs(self) -> list[str]:
        """The rows whose runs it reads from."""
        return runs_in([*self.set.values(), *self.set_elsewhere.values()])


class Leaderboard(Config):
    """Rows that compete: a table to be sorted, rate and distortion beside codecs', reconstructions side by side."""

    rate: Label  # the measure of bits a pixel
    quality: dict[Label, Literal["psnr", "ssim"]] = Field(min_length=1)  # measures, and what codecs have of the kind
    codec_rates: Literal["mean", "rows"] = "mean"  # half to four times the rows' mean rate, or each row's own
    originals: str | dict[Recipe, str]  # FILE/TENSOR in a run's folder, images as uint8
    reconstructions: str | dict[Recipe, str]  # the same, made of them


class Study(Config):
    """A whole study."""

    title: str
    claims: Annotated[tuple[str, ...], BeforeValidator(_only_one)] = Field(min_length=1)  # what is tested
    protocol: str = ""  # how, and how that differs from the paper
    recipe: Recipe
    config: ConfigByData
    data: dict[FolderName, DataSettings] = Field({})  # the first is the default; none: the configuration's own
    set: Settings = Field({})
    seeds: tuple[Seed, ...] = Field((0,), min_length=1)
    generators: tuple[EntryName, ...] = ()  # of every row; several: measures of samples are made for each
    samples: EntryName | None = None
    evaluation: EntryName | None = None
    skip: tuple[str, ...] = ()  # stages that do not run
    measures: dict[Label, Measure] = Field(min_length=1)
    costs: tuple[str, ...] = ()  # stages whose time stands in the table of costs beside the whole run's
    rows: dict[Label, Row] = Field(min_length=1)
    reference: str | None = None  # the row that others are compared with, seed by seed
    leaderboard: Leaderboard | None = None

    @model_validator(mode="after")
    def _names_belong_together(self) -> Self:
        if self.reference is not None and self.reference not in self.rows:
            raise ValueError(f"reference: expected one of the rows {', '.join(self.rows)}, got {self.reference!r}")
        for name in (self.leaderboard.rate, *self.leaderboard.quality) if self.leaderboard else ():
            if name not in self.columns:
                raise ValueError(f"leaderboard: expected measures of {', '.join(self.columns)}, got {name!r}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected each once, got {list(self.seeds)}")
        if len(set(self.generators)) < len(self.generators):
            raise ValueError(f"generators: expected each once, got {list(self.generators)}")
        for name, row in self.rows.items():
            if row.generator is not None and len(self.generators) > 1:
                raise ValueError(f"rows.{name}.generator: expected none where the study has several generators")
            for other in row.needs:
                if other not in self.rows or self.rows[other].needs:
                    raise ValueError(
                        f"rows.{name}.set: expected {{run of ROW}} with another row that needs none, got {other!r}"
                    )
            unknown = row.paper.keys() - self.columns
            if unknown:
                raise ValueError(
                    f"rows.{name}.paper: expected measures of {', '.join(self.columns)}, got {min(unknown)!r}"
                )
            if any(measure.of_samples for measure in self.measures.values()) and not self.generators_of(name):
                raise ValueError(f"rows.{name}.generator: expected one, for the measures of samples, got none")
        return self

    @property
    def columns(self) -> dict[str, tuple[str, str | None]]:
        """The columns of the table: their measures, and which generator's where the study has several.

        With generators ``xar`` and ``far`` a measure ``FID`` of samples has the columns ``FID xar`` and ``FID far``.
        """
        found: dict[str, tuple[str, str | None]] = {}
        for name, measure in self.measures.items():
            if measure.of_samples and len(self.generators) > 1:
                found |= {f"{name} {generator}": (name, generator) for generator in self.generators}
            else:
                found[name] = (name, None)
        return found

    def generators_of(self, row: str) -> tuple[str, ...]:
        """The generators of a row, in order."""
        own = self.rows[row].generator
        return self.generators if own is None else (own,)


def load_study(path: Path) -> Study:
    """Read the file of a study.

    Raises:
        ConfigError: As :func:`vistok.workbench.config.load_config`; the message names the key. Or the file's name,
            which the study is called by, is none that a folder may have.
    """
    study = load_config(Study, path)
    try:
        plain_name(path.stem)
    except ValueError as error:
        raise ConfigError(f"{path}: the study's name: {error}") from None
    return study


def config_for(config: ConfigByData, data: str | None, *, key: str) -> str:
    """The configuration that is meant for a data set.

    Raises:
        ConfigError: There is none.

    Example:
        >>> config_for({"digits": "digits", "default": "emoji64"}, "openmoji", key="config")
        'emoji64'
    """
    if isinstance(config, str):
        return config
    if data in config:
        return config[data]
    if OTHERWISE in config:
        return config[OTHERWISE]
    raise ConfigError(f"{key}: expected a configuration for one of {', '.join(config)}, got the data {data!r}")
