"""Whether what is measured of tokenizers goes with what their generators draw: correlations over cells of studies."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.workbench.config import ConfigError
from vistok.workbench.reporting.plots import plot_scatter
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.studies.cells import RUNS, plain_value, short_checksum
from vistok.workbench.studies.correlation import (
    FEWEST_ROWS,
    RESAMPLES,
    Correlation,
    Points,
    correlate,
    kendall,
    spearman,
)
from vistok.workbench.studies.joining import values_by_cell
from vistok.workbench.studies.pages import write_page

logger = logging.getLogger(__name__)

_MEASURES = {"Spearman": spearman, "Kendall": kendall}

# Settings of the section of images on which it hangs what is held out of them and measured.
_OF_IMAGES = ("source", "image_size", "image_column", "label_column", "validation_fraction")


class Group(NamedTuple):
    """Cells that may be compared: of one data set, and one generator.

    Attributes:
        data: What the study calls its images; of one that names none, what tells the images of its cells apart.
        generator: What was trained and drawn from.
    """

    data: str
    generator: str


class Drawn(NamedTuple):
    """What a generator drew in a cell: the row that it belongs to, over all studies, and every number of it."""

    row: str
    label: str
    values: dict[str, float]


def read_cells(folders: Iterable[Path]) -> dict[Group, list[Drawn]]:
    """All cells of all studies under some folders, a cell of several studies once.

    Tries are left out, and so is what has no generator to correlate anything with; a line names such studies.

    Two studies may read different measures of the same run; the cell then has both.

    Raises:
        ConfigError: There is no study, or none is left.
    """
    files = sorted({path for folder in folders for path in folder.rglob("study.json")})
    if not files:
        raise ConfigError(f"folders: expected at least one study.json in {', '.join(map(str, folders))}, got none")
    merged: dict[Group, dict[tuple[str, str], Drawn]] = defaultdict(dict)
    for file in files:
        found = read_json(file, "study", "data", "cells", "values")
        if found.get("try"):
            logger.info("left out: %s, a try with %s", file, ", ".join(found["try"]))
            continue
        if not any(cell["generators"] for cell in found["cells"]):
            logger.info("left out: %s, whose cells have no generator", file)
            continue
        values = values_by_cell(found)
        for cell in found["cells"]:
            mine = values[cell["row"], cell["seed"]]
            row = json.dumps([_made_of(cell, found["cells"]), cell["samples"], cell["evaluation"]])
            images = found["data"] or _images_of(cell)
            for generator in cell["generators"]:
                drawn = Drawn(row, f"{found['study']}: {cell['row']}", {})
                drawn = merged[Group(images, generator)].setdefault((row, cell["folder"]), drawn)
                drawn.values.update(
                    {each["measure"]: each["value"] for each in mine if each["generator"] in (None, generator)}
                )
    if not merged:
        raise ConfigError(f"folders: expected a study with generators that is no try, got {', '.join(map(str, files))}")
    return {group: list(cells.values()) for group, cells in merged.items()}


def _made_of(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> str:
    """What a cell is made of at any seed: of a run that it reads from what that is made of, not the folder's name."""
    text = json.dumps([cell[key] for key in ("recipe", "config", "content", "set")], sort_keys=True, ensure_ascii=False)
    for other in cells if f"{RUNS}/" in text else ():
        folder = f"{RUNS}/{other['folder']}"
        if folder in text:
            text = text.replace(folder, f"{RUNS}/{short_checksum(_made_of(other, cells))}")
    return text


def _images_of(cell: Mapping[str, Any]) -> str:
    """What tells images apart that no study names: their settings, and the configuration unless these say all.

    Those of a configuration's file are known, of a shipped one what the study sets.
    """
    settings = _section(cell["content"] or {}, "data")
    for key, value in sorted(cell["set"].items()):  # a section before what is set within it
        section, _, name = key.partition(".")
        if section == "data":
            settings = settings | {name: value} if name else _section(cell["set"], "data")
    told = [f"{name}={plain_value(settings[name])}" for name in _OF_IMAGES if name in settings]
    is_known = cell["content"] is not None and "source" in settings
    return ", ".join(told if is_known else [f"{cell['recipe']} {cell['config']}", *told])


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    return dict(section) if isinstance(section, Mapping) else {}


def points_of(cells: Sequence[Drawn], predictor: str, outcome: str) -> Points:
    """The cells that have both measures."""
    both = [cell for cell in cells if predictor in cell.values and outcome in cell.values]
    x, y = (np.array([cell.values[name] for cell in both], dtype=np.float64) for name in (predictor, outcome))
    return Points(x, y, [cell.row for cell in both])


def write_correlations(folders: Sequence[Path], predictors: Sequence[str], outcomes: Sequence[str], out: Path) -> Path:
    """Write ``correlations.json``, ``.html`` and ``.md``; data sets and generators are never pooled.

    Raises:
        ConfigError: There is no study, or no cell has a predictor or an outcome.
    """
    groups = read_cells(folders)
    known = {name for cells in groups.values() for cell in cells for name in cell.values}
    for option, names in (("predictors", predictors), ("outcomes", outcomes)):
        for name in names:
            if name not in known:
                raise ConfigError(f"{option}: expected some of {', '.join(sorted(known))}, got {name!r}")
    sections, found = [_explanation()], []
    for group, cells in sorted(groups.items()):
        rows: list[list[str | int]] = []
        for outcome in outcomes:
            for predictor in predictors:
                points = points_of(cells, predictor, outcome)
                entry = _entry(group, predictor, outcome, points)
                found.append(entry)
                rows.append([outcome, predictor, entry["cells"], entry["rows"], *map(_shown, entry["values"])])
        header = ["outcome", "predictor", "cells", "rows"]
        header += [f"{name}, {of}" for of in ("cells", "row means") for name in _MEASURES]
        heading = f"{group.data}, {group.generator}"
        pictures = [_scatter(cells, predictors, outcome) for outcome in outcomes]
        sections.append(Section(heading, [Table(header, rows), *(each for each in pictures if each)]))
    write_atomically(out / "correlations.json", json.dumps([_plain(entry) for entry in found], indent=2) + "\n")
    subtitle = f"{', '.join(predictors)} with {', '.join(outcomes)}"
    return write_page(out, "correlations", "Rank correlations over studies", sections, subtitle=subtitle)


def _entry(group: Group, predictor: str, outcome: str, points: Points) -> dict[str, Any]:
    count = len(set(points.rows))
    enough = count >= FEWEST_ROWS
    values = [
        correlate(each, measure) if enough else None
        for each in (points, points.row_means())
        for measure in _MEASURES.values()
    ]
    names = {"predictor": predictor, "outcome": outcome, "cells": len(points.rows), "rows": count}
    return {**group._asdict(), **names, "values": values}


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    names = [f"{name} of {of}" for of in ("cells", "row means") for name in _MEASURES]
    kept = {key: value for key, value in entry.items() if key != "values"}
    values = zip(names, entry["values"], strict=True)
    return kept | {name: value and [None if np.isnan(part) else part for part in value] for name, value in values}


def _shown(value: Correlation | None) -> str:
    if value is None:
        return f"fewer than {FEWEST_ROWS} rows"
    if np.isnan(value.value):
        return "does not vary"
    return f"{value.value:+.2f} [{value.low:+.2f}, {value.high:+.2f}]"


def _scatter(cells: Sequence[Drawn], predictors: Sequence[str], outcome: str) -> Picture | None:
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for predictor in predictors:
        groups: dict[str, tuple[list[float], list[float]]] = {}
        for cell in cells:
            if predictor in cell.values and outcome in cell.values:
                x, y = groups.setdefault(cell.label, ([], []))
                x.append(cell.values[predictor])
                y.append(cell.values[outcome])
        if groups:
            panels[predictor] = groups
    if not panels:
        return None
    return Picture(plot_scatter(panels, y_label=outcome), f"{outcome} by predictor: a point a cell, a colour a row.")


def _explanation() -> Section:
    text = (
        "Each point is a cell, or the mean of a row over its seeds. Intervals: 95 %, from "
        f"{RESAMPLES:,} bootstrap samples of rows, each drawn with all its cells, since cells of one row differ "
        "by their seed alone. Data sets and generators stand for themselves and are never pooled; where a study names "
        "no images, those of a configuration do. Rank correlations see any monotone relation, and no cause."
    )
    return Section("How to read this", [Text(text)])
