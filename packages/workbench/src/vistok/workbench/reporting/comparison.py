"""Finished runs side by side on one page: settings that differ, measures, the same images, samples, curves."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.evaluation.sampling import load_samples, sample_label
from vistok.workbench.reporting.measure_table import LEGEND, comparable, measure_tables
from vistok.workbench.reporting.plots import plot_curves
from vistok.workbench.run.files import read_json
from vistok.workbench.run.folder import CONFIG
from vistok.workbench.run.json_numbers import read_measures
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.summary import RunSummary, summarise_run, tokenizer_section
from vistok.workbench.run.tensor_files import load_tensors
from vistok.workbench.run.tracking import read_metrics
from vistok.workbench.strict_yaml import read_yaml

_COLUMNS = 8  # of reconstructions
_MOST_IMAGES = 24
_SAMPLE_ROWS, _MOST_CLASSES = 3, 10
_NO_CURVE = {"stage", "step", "learning_rate"}


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run under a letter, which the page calls it by."""

    letter: str
    paths: RunPaths
    summary: RunSummary
    measures: Mapping[str, Any]

    def config(self) -> dict[str, Any]:
        """All settings."""
        values: dict[str, Any] = read_yaml((self.paths.folder / CONFIG).read_text(encoding="utf-8"))
        return values

    def samples(self) -> tuple[str, Tensor, Tensor] | None:
        """The first set of samples that there is, in the order of the settings: its name, its images, its labels."""
        for generator, settings in self.config().get("generators", {}).items():
            for name in settings.get("samples", {}):
                file = self.paths.samples(generator, name)
                if file.exists():
                    drawn = load_samples(file)
                    return sample_label(generator, name), drawn["images"], drawn["labels"]
        return None

    def reconstructions(self) -> tuple[Tensor, Tensor] | None:
        """Some held-out images, and what came back of them."""
        file = self.paths.reconstructions
        if not file.exists():
            return None
        stored = load_tensors(file)
        made = stored.get(tokenizer_section(self.measures) or "", stored.get("reconstructions"))
        return None if made is None or "originals" not in stored else (stored["originals"], made)


def compared_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """The runs of some folders, under the letters from A on."""
    found = []
    for letter, folder in zip(string.ascii_uppercase, folders, strict=False):
        paths = RunPaths(folder)
        measures = read_measures(paths.evaluation()) if paths.evaluation().exists() else {}
        found.append(ComparedRun(letter, paths, summarise_run(folder), measures))
    return found


def comparison_sections(runs: Sequence[ComparedRun]) -> list[Section]:
    """All sections of the page."""
    sections = [
        Section("Runs", [_runs_table(runs)]),
        Section("Reconstructions", _reconstructions(runs)),
        Section("Samples", _samples(runs)),
    ]
    measured = {run.letter: run.measures for run in runs if run.measures}
    others = None
    if measured:
        main, others = measure_tables(measured)
        data = [run.config().get("data", {}) for run in runs if run.measures]
        sections.append(Section("Measures", [*map(Text, comparable(measured, data)), Text(LEGEND), main]))
    sections += [Section("Settings that differ", _settings(runs)), Section("Curves", _curves(runs))]
    if others is not None and others.rows:
        sections.append(Section("Other measures that differ", [others]))
    return sections


def _runs_table(runs: Sequence[ComparedRun]) -> Table:
    rows: list[list[str | float | int | None]] = []
    for run in runs:
        file = run.paths.environment
        processor = read_json(file).get("processor", "") if file.exists() else ""
        summary = run.summary
        rows.append([run.letter, summary.name, summary.recipe, summary.state, f"{summary.minutes:.1f}", processor])
    return Table(["", "run", "recipe", "state", "minutes", "processor"], rows)


def _settings(runs: Sequence[ComparedRun]) -> list[Text | Table | Picture]:
    every = {run.letter: _flat(run.config()) for run in runs}
    shared = set.intersection(*map(set, every.values())) - {"name"}
    common = [key for key in next(iter(every.values())) if key in shared]
    values = {key: [settings[key] for settings in every.values()] for key in common}
    rows = [[key, *map(str, each)] for key, each in values.items() if any(value != each[0] for value in each)]
    blocks: list[Text | Table | Picture] = [Text("All other settings but the name are equal.")]
    if rows:
        blocks.append(Table(["setting", *every], rows))
    for letter, settings in every.items():
        if own := [key for key in settings if any(key not in each for each in every.values())]:
            blocks.append(Text(f"Not in every run, but in {letter}: {', '.join(own)}."))
    return blocks


def _reconstructions(runs: Sequence[ComparedRun]) -> list[Text | Table | Picture]:
    stored = {run.letter: found for run in runs if (found := run.reconstructions()) is not None}
    missing = [run.letter for run in runs if run.letter not in stored]
    blocks: list[Text | Table | Picture] = [Text(f"No reconstructions in {', '.join(missing)}.")] if missing else []
    if len(stored) < 2:
        return blocks
    places = {name: _places(originals) for name, (originals, _) in stored.items()}
    common = [key for key in next(iter(places.values())) if all(key in each for each in places.values())]
    if not common:
        said = "The runs show no held-out image in common: their data, their image size or their split differ."
        return [*blocks, Text(said)]
    first = next(iter(stored))
    kept = common[:_MOST_IMAGES]
    columns = min(_COLUMNS, len(kept))
    rows = {"original": stored[first][0][[places[first][key] for key in kept]]}
    rows |= {name: images[[places[name][key] for key in kept]] for name, (_, images) in stored.items()}
    png = image_grid(_in_bands(list(rows.values()), columns), columns=columns, row_labels=_labels(rows, kept, columns))
    caption = f"{len(kept)} held-out images that all of these runs show, and what came back from each."
    fewest = min(len(each) for each in places.values())
    if len(kept) < min(fewest, _MOST_IMAGES):
        caption += " The runs show other images beside these: their splits or the number of images shown differ."
    return [*blocks, Picture(png, caption, pixelated=True)]


def _samples(runs: Sequence[ComparedRun]) -> list[Text | Table | Picture]:
    drawn = {run: found for run in runs if (found := run.samples()) is not None}
    missing = [run.letter for run in runs if run not in drawn]
    blocks: list[Text | Table | Picture] = [Text(f"No samples in {', '.join(missing)}.")] if missing else []
    rows: list[Tensor] = []
    labels: list[str] = []
    shapes = {images.shape[1:] for _, images, _ in drawn.values()}
    if len(shapes) > 1:
        return [*blocks, Text("The images of the samples differ in size; open the runs' own reports.")]
    classes = {run: _classes(run, of) for run, (_, _, of) in drawn.items()}
    names = [name for name in next(iter(classes.values()), ()) if all(name in each for each in classes.values())]
    if len({frozenset(each) for each in classes.values()}) > 1:
        which = "those of the same name are shown" if names else "none has the same name"
        blocks.append(Text(f"The classes of the samples differ: {which}."))
    names = names[:_MOST_CLASSES]
    if not names:
        return blocks
    for run, (_, images, of) in drawn.items():
        chosen = [(of == classes[run][name]).nonzero()[:_SAMPLE_ROWS, 0] for name in names]
        count = min(len(each) for each in chosen)
        rows += [images[torch.stack([each[row] for each in chosen])] for row in range(count)]
        labels += [run.letter] + [""] * (count - 1)
    png = image_grid(torch.cat(rows), columns=len(names), row_labels=labels, column_labels=names)
    sets = ", ".join(f"{run.letter}: {name}" for run, (name, _, _) in drawn.items())
    return [*blocks, Picture(png, f"Unselected samples, a column a class ({sets}).", pixelated=True)]


def _curves(runs: Sequence[ComparedRun]) -> list[Text | Table | Picture]:
    records = {run.letter: read_metrics(run.paths.metrics) for run in runs}
    stages = dict.fromkeys(line["stage"] for lines in records.values() for line in lines)
    blocks: list[Text | Table | Picture] = []
    for stage in stages:
        merged: list[dict[str, Any]] = []
        panels: dict[str, list[str]] = {}
        for letter, lines in records.items():
            for line in (line for line in lines if line["stage"] == stage and line["step"] > 0):
                values = {f"{letter} {key}": value for key, value in line.items() if key not in _NO_CURVE}
                merged.append({"step": line["step"], **values})
                for key in values:
                    panels.setdefault(key.partition(" ")[2], []).append(key)
        shared = {name: sorted(set(keys)) for name, keys in panels.items() if len(set(keys)) > 1}
        if shared:
            alone = sorted(
                {key for keys in panels.values() for key in keys} - {k for keys in shared.values() for k in keys}
            )
            rest = f" In one run alone: {', '.join(alone)}." if alone else ""
            blocks.append(Picture(plot_curves(merged, shared), f"Training of {stage}, unweighted terms.{rest}"))
    return blocks or [Text("The runs have no curve in common.")]


def _places(images: Tensor) -> dict[bytes, int]:
    """Where each image is, by its size and its pixels."""
    return {bytes(str(tuple(image.shape)), "ascii") + image.numpy().tobytes(): n for n, image in enumerate(images)}


def _in_bands(rows: Sequence[Tensor], columns: int) -> Tensor:
    """Rows of images that are longer than the page, in bands: the first part of each row, then the next of each."""
    channels = max(each.shape[1] for each in rows)
    same = [each.expand(-1, channels, -1, -1) for each in rows]
    blank = torch.full_like(same[0][:1], 255)
    parts = []
    for start in range(0, len(same[0]), columns):
        for each in same:
            part = each[start : start + columns]
            parts += [part, blank.expand(columns - len(part), -1, -1, -1)]
    return torch.cat(parts)


def _labels(rows: Mapping[str, Tensor], kept: Sequence[bytes], columns: int) -> list[str]:
    return [*rows] * -(-len(kept) // columns)


def _classes(run: ComparedRun, labels: Tensor) -> dict[str, int]:
    """The label of each class that there is, by the name that the run has for it: another may number it otherwise."""
    files = sorted(run.paths.folder.glob("generator-*.json"))
    names = next((found for file in files if (found := read_json(file).get("class_names"))), None)
    return {names[label] if names else str(label): label for label in sorted({*labels.tolist()})}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return found
