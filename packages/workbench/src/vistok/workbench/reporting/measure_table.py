"""Measures of several runs in one table: each beside the first run's, and whether it is better, worse or neither."""

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Any

from vistok.metrics.report.page import Table, format_number
from vistok.workbench.run.summary import tokenizer_section

Measures = Mapping[str, Mapping[str, Any]]

_HIGHER = {
    *("psnr", "ssim", "inception_score", "precision", "recall", "density", "coverage", "recognised", "accuracy"),
    *("normalized_entropy",),
}
_LOWER = {"frechet_distance", "frechet_distance_at_infinity", "perceptual_distance", "mean_absolute_error"}
_MAIN = (
    *("psnr", "ssim", "perceptual_distance", "frechet_distance", "bits_per_image", "tokens_per_image"),
    *("precision", "recall", "density", "coverage", "diversity", "recognised", "accuracy"),
)
_DATA = ("source", "image_size", "validation_fraction")  # which images are held out, and what is seen of them
_ASIDE = ("real images", "mean image", "steps of", "stage I")  # sections that are no result of a run
_DRAWN = ("samples ", "real images")  # sections whose measures depend on how many images there are
_NAMES = {"psnr": "PSNR, dB", "ssim": "SSIM", "pooled_psnr": "PSNR of all pixels together, dB"}
LEGEND = (
    "In brackets the difference to the first run: ▲ better, ▼ worse, ≈ within two deviations of the two together, "
    "where the measure has one. No sign where neither more nor less is better, or the numbers of images differ."
)
_DEVIATION = "_deviation"  # at the end of a name: that of the measure of the name before
_DEVIATIONS = 2.0
_LARGE = 100.0


def comparable(runs: Measures, data: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on what keeps the numbers of runs from being compared.

    Args:
        runs: As :func:`measure_tables` takes them.
        data: The settings of each run's images.
    """
    counts = [{key: each.get("images", {}).get(key) for key in ("train", "validation")} for each in runs.values()]
    said = []
    for noun, values in (
        ("features", [str(measures.get("features")) for measures in runs.values()]),
        ("numbers of images", [", ".join(f"{count} {key}" for key, count in each.items()) for each in counts]),
        *((f"values of data.{key}", [str(each.get(key)) for each in data]) for key in _DATA),
    ):
        if len(set(values)) > 1:
            said.append(f"Not to be compared as they stand: the {noun} differ ({'; '.join(values)}).")
    return said + _of_other_counts(runs)


def _of_other_counts(runs: Measures) -> list[str]:
    """A sentence for each set of images of which runs have other numbers: distances and neighbours depend on them."""
    said = []
    for section in dict.fromkeys(key for measures in runs.values() for key in measures if key.startswith(_DRAWN)):
        counts = [each.get(section, {}).get("count") for each in runs.values()]
        found = [f"{count:g}" for count in counts if count is not None]
        if len(set(found)) > 1:
            said.append(f"Not to be compared as they stand: the numbers of {section} differ ({'; '.join(found)}).")
    return said


def measure_tables(runs: Measures) -> tuple[Table, Table]:
    """The main measures of all runs, and all others that differ.

    Args:
        runs: The letter of each run, the first one the reference, and what its ``evaluation.json`` holds.
    """
    values = {letter: _numbers(measures) for letter, measures in runs.items()}
    names = _NAMES | next(iter(runs.values())).get("names", {})
    main, others = [], []
    for section, name in dict.fromkeys(key for each in values.values() for key in each):
        if name.endswith(_DEVIATION):
            continue
        row = [f"{section}: {names.get(name, name.replace('_', ' '))}", *_marked((section, name), values)]
        if name in _MAIN and not section.startswith(_ASIDE):
            main.append(row)
        elif len({each[section, name] for each in values.values() if (section, name) in each}) > 1:
            others.append(row)
    return Table(["measure", *runs], main), Table(["measure", *runs], others)


def _numbers(measures: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """All numbers by section and name; the tokenizer's last reconstructions are called so whatever the recipe."""
    own = tokenizer_section(measures)
    found: dict[tuple[str, str], float] = {}
    for section, values in measures.items():
        if isinstance(values, Mapping) and section != "images":
            name = "reconstruction" if section == own else section
            found |= {(name, key): value for key, value in values.items() if isinstance(value, float)}
    return found


def _marked(key: tuple[str, str], values: Mapping[str, Mapping[tuple[str, str], float]]) -> list[str]:
    first, *rest = values.values()
    cells = [_number(first.get(key))]
    for each in rest:
        value, reference = each.get(key), first.get(key)
        if value is None or reference is None:
            cells.append(_number(value))
        elif value == reference:
            cells.append(f"{_number(value)} (=)")
        else:
            sign = "+" if value > reference else "−"
            size = abs(value - reference)
            difference = f"{size:.2g}" if size < _LARGE else f"{size:,.0f}"
            cells.append(f"{_number(value)} ({sign}{difference}{_mark(key, each, first)})")
    return cells


def _mark(
    key: tuple[str, str], run: Mapping[tuple[str, str], float], reference: Mapping[tuple[str, str], float]
) -> str:
    section, name = key
    spread = [each.get((section, name + _DEVIATION)) for each in (run, reference)]
    difference = run[key] - reference[key]
    if run.get((section, "count")) != reference.get((section, "count")):
        return ""
    if None not in spread and abs(difference) <= _DEVIATIONS * hypot(*(each or 0.0 for each in spread)):
        return " ≈"
    if name in _HIGHER:
        return " ▲" if difference > 0 else " ▼"
    if name in _LOWER:
        return " ▼" if difference > 0 else " ▲"
    return ""


def _number(value: float | None) -> str:
    return "–" if value is None else format_number(value)
