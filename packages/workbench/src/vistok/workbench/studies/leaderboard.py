"""What a leaderboard shows beside a study's tables: a table to be sorted, codecs, reconstructions side by side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vistok.metrics import NotMeasurableError, RateDistortionPoint, rate_distortion_baselines
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.data import Images
from vistok.workbench.data.drawing import some_images
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.reporting.plots import plot_labelled_points
from vistok.workbench.run.folder import CONFIG
from vistok.workbench.run.tensor_files import load_tensors
from vistok.workbench.strict_yaml import read_yaml
from vistok.workbench.studies.cells import Cell
from vistok.workbench.studies.outcomes import FINISHED, read_outcome
from vistok.workbench.studies.results import Results
from vistok.workbench.studies.schema import Leaderboard

_IMAGES = 500  # that codecs are measured on, at most
_TRAINING = (2000, 5000)  # that they are fitted to, at most: of large images, and of those of which memory holds more
_VALUES = 2**25  # of all training images that are held for it, where they are more than the smaller number
_RATES = (0.5, 1.0, 2.0, 4.0)  # of codecs, times the mean rate of the rows
_SHOWN = 12


def leaderboard_sections(results: Results) -> list[Section]:
    """The sections of a study with a leaderboard; none before a cell is finished.

    Codecs and reconstructions are of what is finished here, the table and the curves of what was joined, too.
    """
    board = results.study.leaderboard
    if board is None or all(outcome.state != FINISHED for outcome in results.outcomes):
        return []
    here = [cell for cell in results.cells if read_outcome(cell, results.runs).state == FINISHED]
    rates = [summary.mean for row in results.rows if (summary := results.summary(row, board.rate))]
    images, why = _images(here, results.runs)
    codecs, why = _codecs(*images, _rates(board, rates)) if images and rates else ([], why or "no row has a rate")
    sections = [Section("Leaderboard", [_table(results, board, codecs)]), *_curves(results, board, codecs)]
    if why:
        sections.append(Section("Codecs", [Text(f"Left out: {why}.")]))
    pictures: list[Picture | Text] = [*_pictures(results, board, here)]
    if pictures and images and images[0].attribution:
        pictures.append(Text(f"Images: {images[0].attribution}"))
    return [*sections, *([Section("Reconstructions", pictures)] if pictures else [])]


def _images(cells: Sequence[Cell], runs: Path) -> tuple[tuple[Images, Images] | None, str]:
    """The training and the validation images of the first cell, or why there are none."""
    if not cells:
        return None, "no cell is finished here"
    settings = read_yaml((runs / cells[0].run.name / CONFIG).read_text(encoding="utf-8"))
    try:
        train, validation = DataConfig(**settings["data"]).load()
    except (OSError, ValueError) as error:
        return None, str(error)
    return (train, validation), ""


def _rates(board: Leaderboard, rows: Sequence[float]) -> list[float]:
    """The rates of codecs, in bits a pixel: around the rows' mean, or theirs."""
    if board.codec_rates == "rows":
        return sorted(set(rows))
    return [factor * (sum(rows) / len(rows)) for factor in _RATES]


def _codecs(
    train: Images, validation: Images, rates: Sequence[float]
) -> tuple[list[tuple[str, RateDistortionPoint]], str]:
    """Each codec at several rates, or why there are none."""
    fewer, more = _TRAINING
    held = _VALUES // (train.channels * train.image_size**2)
    images, fitted = _some(validation, _IMAGES), _some(train, max(fewer, min(more, held)))
    found: dict[str, RateDistortionPoint] = {}
    try:
        for rate in rates:
            found |= rate_distortion_baselines(images, fitted, bits_per_pixel=rate)
    except (NotMeasurableError, ValueError) as error:
        return [], str(error)
    return list(found.items()), ""


def _some(images: Images, count: int) -> Tensor:
    return torch.cat([images.batch(part) for part in some_images(images, count, 0).split(100)])


def _table(results: Results, board: Leaderboard, codecs: Sequence[tuple[str, RateDistortionPoint]]) -> Table:
    columns = list(results.study.columns)
    rows: list[list[str | float | int | None]] = []
    for row in results.rows:
        summaries = [results.summary(row, column) for column in columns]
        rows.append([row, results.num_seeds(row), *(summary and summary.mean for summary in summaries)])
    for name, point in codecs:
        known = {board.rate: point.bits_per_pixel}
        known |= {column: getattr(point, kind) for column, kind in board.quality.items()}
        rows.append([name, None, *(known.get(column) for column in columns)])
    caption = (
        "Means over the seeds; a click on a heading sorts. Codecs were measured on at most "
        f"{_IMAGES} of the validation images, files with headers; principal components are fitted to training images."
    )
    return Table(["row", "seeds", *columns], rows, caption, sortable=True)


def _curves(results: Results, board: Leaderboard, codecs: Sequence[tuple[str, RateDistortionPoint]]) -> list[Section]:
    """Rows as points among the curves of codecs, one picture a measure of quality."""
    pictures = []
    for column, kind in board.quality.items():
        pairs = {row: (results.summary(row, board.rate), results.summary(row, column)) for row in results.rows}
        points = {row: (rate.mean, quality.mean) for row, (rate, quality) in pairs.items() if rate and quality}
        curves: dict[str, list[tuple[float, float]]] = {}
        for name, point in codecs:
            curves.setdefault(name.partition(",")[0], []).append((point.bits_per_pixel, getattr(point, kind)))
        if points:
            png = plot_labelled_points(points, curves, x_label=board.rate, y_label=column)
            without = [row for row, (rate, quality) in pairs.items() if quality and not rate]
            left_out = f" Without {board.rate}, so not here: {', '.join(without)}." if without else ""
            caption = f"{column} by {board.rate}: means over the seeds; up and left is better.{left_out}"
            pictures.append(Picture(png, caption))
    return [Section("Rate and distortion", pictures)] if pictures else []


def _pictures(results: Results, board: Leaderboard, here: Sequence[Cell]) -> list[Picture]:
    """Each row's reconstructions at its first finished seed under the originals; a picture for each set of these."""
    groups: list[tuple[Tensor, list[str], list[Tensor]]] = []
    seen = set()
    for cell in here:
        if cell.row in seen:
            continue
        seen.add(cell.row)
        originals, made = (_tensor(path, cell, results.runs) for path in (board.originals, board.reconstructions))
        if originals is None or made is None:
            continue
        group = next((group for group in groups if torch.equal(group[0], originals)), None)
        if group is None:
            groups.append(group := (originals, [], []))
        group[1].append(cell.row)
        group[2].append(made)
    return [_grid(*group) for group in groups]


def _grid(originals: Tensor, names: Sequence[str], made: Sequence[Tensor]) -> Picture:
    rows = torch.cat([part[:_SHOWN] for part in (originals, *made)])
    columns = len(originals[:_SHOWN])
    caption = "Validation images and what each row reconstructs of them, at the row's first finished seed."
    return Picture(image_grid(rows, columns=columns, row_labels=["original", *names]), caption, pixelated=True)


def _tensor(path: str | dict[str, str], cell: Cell, runs: Path) -> Tensor | None:
    """A tensor of a run by ``FILE/TENSOR``; none where the recipe has none."""
    place = path if isinstance(path, str) else path.get(cell.run.recipe)
    file, _, name = (place or "").rpartition("/")
    whole = runs / cell.run.name / file
    return load_tensors(whole, name)[name] if file and whole.exists() else None
