"""The page of a study: claims, table, differences, plots, costs, what is missing; as HTML and as Markdown."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vistok.metrics.report.page import Picture, Section, Table, Text, render_report
from vistok.workbench.reporting.plots import plot_rows
from vistok.workbench.run.costs import CPU, MEMORY, WALL
from vistok.workbench.run.files import write_atomically
from vistok.workbench.run.folder import environment_record
from vistok.workbench.studies.leaderboard import leaderboard_sections
from vistok.workbench.studies.outcomes import FINISHED, total_cost
from vistok.workbench.studies.results import Results, as_json
from vistok.workbench.studies.schema import Measure
from vistok.workbench.studies.statistics import LEVEL, Summary

_ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
_NOTHING = "–"
_COSTS = ((WALL, 60), (CPU, 60), (MEMORY, 2**30))  # shown in minutes and in GiB

Blocks = list[Text | Table | Picture]


def write_study(results: Results, folder: Path) -> Path:
    """Write ``study.json``, ``study.html``, ``study.md`` and its pictures; the HTML page is given back."""
    write_atomically(folder / "study.json", json.dumps(as_json(results), indent=2, ensure_ascii=False) + "\n")
    return write_page(folder, "study", results.study.title, study_sections(results), subtitle=_subtitle(results))


def write_page(folder: Path, name: str, title: str, sections: Sequence[Section], *, subtitle: str) -> Path:
    """Write a page twice, as HTML with its pictures inside and as Markdown with its pictures beside it."""
    page = folder / f"{name}.html"
    write_atomically(page, render_report(title, sections, subtitle=subtitle))
    parts, pictures = [f"# {title}", subtitle], 0
    for section in sections:
        parts.append(f"## {section.heading}")
        for block in section.blocks:
            if isinstance(block, Picture):
                pictures += 1
                file = folder / "pictures" / f"{name}-{pictures}.png"
                write_atomically(file, block.png)
                parts.append(f"![{block.description or block.caption}](pictures/{file.name})\n\n{block.caption}")
            else:
                parts.append(block.text if isinstance(block, Text) else block.markdown())
    write_atomically(folder / f"{name}.md", "\n\n".join(part for part in parts if part) + "\n")
    return page


def study_sections(results: Results) -> list[Section]:
    """All sections of a study's page."""
    study = results.study
    claims: Blocks = [Text(claim) for claim in study.claims]
    sections = [Section("What is tested", [*claims, *([Text(study.protocol.strip())] if study.protocol else [])])]
    missing: dict[tuple[str, str], list[str]] = {}
    for row, seed, what in results.missing():
        missing.setdefault((row, what), []).append(str(seed))
    if missing:
        rows = [[row, ", ".join(seeds), what] for (row, what), seeds in missing.items()]
        finished = sum(outcome.state == FINISHED for outcome in results.outcomes)
        caption = f"{finished} of {len(results.cells)} cells are finished."
        sections.append(Section("What is missing", [Table(["row", "seeds", "what"], rows, caption)]))
    sections += leaderboard_sections(results)
    sections.append(Section("Results", [_table(results)]))
    if study.reference is not None and len(results.rows) > 1:
        sections.append(Section(f"Differences to {study.reference}", [_differences(results)]))
    plots = _plots(results)
    if plots:
        sections.append(Section("Plots", plots))
    sections += [Section("Rows", [_settings(results)]), Section("Costs", [_costs(results), _circumstances(results)])]
    return sections


def _table(results: Results) -> Table:
    study = results.study
    header, in_paper = ["row", "seeds"], set()
    for column in study.columns:
        header.append(_heading(results, column))
        if any(column in study.rows[row].paper for row in results.rows):
            in_paper.add(column)
            header.append(f"{column}, paper")
    rows = []
    for row in results.rows:
        most = results.num_seeds(row)
        cells = [row, str(most)]
        for column in study.columns:
            summary = results.summary(row, column)
            fewer = f" (of {summary.num})" if summary and summary.num < most else ""
            cells.append(_shown(summary, _measure(results, column)) + fewer)
            if column in in_paper:
                number = study.rows[row].paper.get(column)
                cells.append(_NOTHING if number is None else f"{number:g}")
        rows.append(cells)
    caption = "Mean ± standard deviation over the seeds (of one seed no deviation). ↑ more is better, ↓ less is better."
    return Table(header, rows, caption)


def _differences(results: Results) -> Table:
    study = results.study
    rows, certain = [], []
    for row in results.rows:
        if row == study.reference:
            continue
        found = {name: results.difference(row, name) for name in study.columns}
        rows.append([row, *(_shown_difference(each, _measure(results, name)) for name, each in found.items())])
        certain += [each.excludes_zero for each in found.values() if each and each.interval]
    caption = (
        f"The row less {study.reference}, seed by seed: the mean and its 95 % interval after Student. "
        "A word follows where the interval excludes 0. One seed has no interval."
    )
    if certain:
        chance = (1 - LEVEL) * len(certain)
        caption += (
            f" Of {len(certain)} intervals {sum(certain)} exclude 0; of rows that are alike about {chance:.1f} would."
        )
    return Table(["row", *(_heading(results, name) for name in study.columns)], rows, caption)


def _plots(results: Results) -> Blocks:
    blocks: Blocks = []
    for column in results.study.columns:
        values = {row: list(results.values[row][column].values()) for row in results.rows}
        if not any(values.values()):
            continue
        summaries = {row: results.summary(row, column) for row in results.rows}
        intervals = {row: each.interval for row, each in summaries.items() if each and each.interval}
        label = _heading(results, column)
        png = plot_rows(values, intervals, label=label, reference=results.study.reference)
        bars = "; bars: 95 % interval of the mean, cut off where it is far wider than the points" if intervals else ""
        blocks.append(Picture(png, f"{label}. Points: seeds; strokes: means{bars}."))
    return blocks


def _settings(results: Results) -> Table:
    """What each row was run with, options of the command included; what all rows have stands below."""
    cells = {name: next(cell for cell in results.cells if cell.row == name) for name in results.rows}
    every = [cell.run.set for cell in cells.values()]
    common = {
        key: value for key, value in every[0].items() if all(key in each and each[key] == value for each in every)
    }
    if len(every) == 1:
        common = {key: value for key, value in common.items() if key not in results.study.rows[results.rows[0]].set}
    rows = []
    for name, cell in cells.items():
        own = {key: value for key, value in cell.run.set.items() if key not in common}
        config, drawn = Path(cell.run.config).stem, ", ".join(cell.generators)
        rows.append([name, cell.run.recipe, config, drawn, _assignments(own), results.study.rows[name].note])
    header = ["row", "recipe", "configuration", "generator", "settings", "note"]
    return Table(header, rows, f"All rows: {_assignments(common)}." if common else "")


def _assignments(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())


def _circumstances(results: Results) -> Table:
    """Where and with what the page was made, and the cells that come from elsewhere."""
    here = environment_record()
    rows = [["command", here["command"]], ["machine", _machine(here)], ["versions", _versions(here)]]
    for origin in results.origins:
        there, commit = origin["environment"], origin["commit"] or "no commit"
        rows.append(["cells made elsewhere", f"{_machine(there)}; {commit}; {_versions(there)}"])
    return Table(["", "of this page"], rows, "Each run has its own in environment.json.")


def _machine(environment: Mapping[str, Any]) -> str:
    return f"{environment['processor']}, {environment['cores']} cores; {environment['platform']}"


def _versions(environment: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in environment["versions"].items())


def _costs(results: Results) -> Table:
    stages = results.study.costs
    rows: list[list[str | float | int | None]] = []
    for row in results.rows:
        made = zip(results.cells, results.outcomes, results.costs, strict=True)
        mine = [costs for cell, ended, costs in made if cell.row == row and ended.state == FINISHED and costs]
        means = _mean_costs(mine)
        for stage in stages:
            means += _mean_costs(
                [{name: cost for name, cost in costs.items() if name.partition(".")[0] == stage} for costs in mine]
            )
        rows.append([row, len(mine), *means])
    header = ["row", "cells", "minutes", "CPU minutes", "peak memory, GiB"]
    header += [f"{stage}, {what}" for stage in stages for what in ("minutes", "CPU minutes", "GiB")]
    caption = "Means over the finished cells, of all their stages; stages that cells share count in each of them."
    return Table(header, rows, caption)


def _mean_costs(costs: Sequence[Mapping[str, Mapping[str, float]]]) -> list[float | None]:
    """Time, the processors' time and peak memory, each the mean over the cells that have any."""
    totals = [total for total in map(total_cost, costs) if total]
    return [sum(total[key] for total in totals) / len(totals) / unit if totals else None for key, unit in _COSTS]


def _measure(results: Results, column: str) -> Measure:
    return results.study.measures[results.study.columns[column][0]]


def _heading(results: Results, column: str) -> str:
    measure = _measure(results, column)
    return f"{column}{f', {measure.unit}' if measure.unit else ''}{_ARROWS[measure.better]}"


def _shown(summary: Summary | None, measure: Measure) -> str:
    if summary is None:
        return _NOTHING
    deviation = "" if summary.deviation is None else f" ± {summary.deviation:.{measure.digits}f}"
    return f"{summary.mean:.{measure.digits}f}{deviation}"


def _shown_difference(summary: Summary | None, measure: Measure) -> str:
    if summary is None:
        return _NOTHING
    mean = f"{summary.mean:+z.{measure.digits}f}"
    if summary.interval is None:
        return f"{mean} (one seed)"
    low, high = (f"{edge:+z.{measure.digits}f}" for edge in summary.interval)
    return f"{mean} [{low}, {high}]{verdict(summary, measure)}"


def verdict(difference: Summary, measure: Measure) -> str:
    """One word where the interval of a difference excludes zero, nothing where it does not."""
    if not difference.excludes_zero:
        return ""
    if measure.better == "none":
        return " other"
    return " better" if (difference.mean > 0) == (measure.better == "higher") else " worse"


def _subtitle(results: Results) -> str:
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(cell.run.seed for cell in results.cells))
    return f"Study {results.name} on {results.data.name if results.data else 'its own data'}, seeds {seeds}"
