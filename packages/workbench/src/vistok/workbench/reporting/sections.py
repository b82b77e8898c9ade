"""The sections that the report of every recipe has, and the page that they make with a recipe's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vistok.metrics.report.page import Link, Picture, Section, Table, Text, format_number, render_report
from vistok.metrics.report.pictures import image_grid, pair_grid
from vistok.workbench.evaluation.measures import LEFT_OUT
from vistok.workbench.reporting.plots import plot_curves
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.folder import OTHERS, named_versions
from vistok.workbench.run.paths import RunPaths

_SAMPLE_ROWS = 8
_LARGEST_CLASSES = 10
INFINITY = (
    "without the bias of a finite number of images (Chong and Forsyth 2020); rough below ten images a feature, "
    "where the bias is not linear"
)
#: Measures between 0 and 1 of samples among real images, and measures that are 1 for real ones.
SHARES = {
    "precision": "of the samples lie among the reference's images",
    "recall": "of the reference's images lie among the samples",
    "coverage": "of the reference's images have a sample in their neighbourhood",
}
RATIOS = {
    "density": "neighbourhoods of the reference's images that a sample lies in, over what is expected",
    "diversity": "distance within a class over that of the reference: below 1 they repeat, above 1 they scatter",
}


def reconstruction_section(
    originals: Tensor, reconstructions: Tensor, measures: Mapping[str, Any], *, caption: str
) -> Section:
    """Originals over reconstructions, and the measures of the whole validation set.

    Args:
        originals: Those that are shown, ``(n, C, H, W)``, uint8.
        reconstructions: The same shape.
        measures: The run's, with ``reconstruction``, ``images`` and ``features``.
        caption: Of the pictures.
    """
    picture = Picture(pair_grid(originals, reconstructions), caption, pixelated=True)
    return Section("Reconstructions", [picture, reconstruction_table(measures)])


def reconstruction_table(measures: Mapping[str, Any], section: str = "reconstruction") -> Table:
    """The measures of reconstructions that ``measures[section]`` holds, each with its meaning."""
    names, values = measures["names"], measures[section]
    rows: list[list[str | float | None]] = [
        ["PSNR", values.get("psnr"), "dB, mean over images of 8-bit pixels"],
        ["PSNR of the mean training image", measures["mean image"]["psnr"], "dB: what is reached without any token"],
        ["SSIM", values.get("ssim"), "mean over images"],
        [names["perceptual_distance"], values.get("perceptual_distance"), "not LPIPS; lower is better"],
        [
            names["frechet_distance"],
            distance(values),
            "reconstructions against their originals, ± its deviation; not the Inception FID",
        ],
    ]
    return Table(
        ["measure", "value", "meaning"],
        [row for row in rows if row[1] is not None],
        caption=f"All {measures['images']['validation']:,} validation images; features: {measures['features']}.",
    )


def distance(values: Mapping[str, float]) -> str | float | None:
    """A Frechet distance with its deviation, where that is known.

    Example:
        >>> distance({"frechet_distance": 85.06, "frechet_distance_deviation": 2.51}), distance({})
        ('85.06 ± 2.5', None)
    """
    value, deviation = values.get("frechet_distance"), values.get("frechet_distance_deviation")
    if value is None or deviation is None:
        return value
    return f"{format_number(value)} ± {deviation:.2g}"


def reference_line(measures: Mapping[str, Any]) -> str:
    """What samples are compared with, in words."""
    reference = measures["reference"]
    to = f" (Frechet distances: the statistics {reference['statistics']})" if "statistics" in reference else ""
    return f"{reference['count']:,} {reference['of']} images{to}"


def sample_section(
    samples: Mapping[str, Tensor], measures: Mapping[str, Any], class_names: Sequence[str], *, label: str
) -> Section:
    """The first samples of each class, a column a class, and their measures beside those of real images.

    Args:
        samples: ``images`` and ``labels`` of one set.
        measures: The run's, with ``samples <label>`` and ``real images``.
        class_names: Of the data; those of the first ten that have samples are shown.
        label: The set, as measures name it.
    """
    return Section(f"Samples: {label}", [sample_picture(samples, class_names), sample_table(measures, label)])


def sample_picture(samples: Mapping[str, Tensor], class_names: Sequence[str]) -> Picture:
    """The first samples of each class, a column a class; the arguments as for :func:`sample_section`."""
    classes = samples["labels"].unique().tolist()[:_LARGEST_CLASSES]
    rows = min(_SAMPLE_ROWS, *(int((samples["labels"] == c).sum()) for c in classes))
    chosen = torch.stack([(samples["labels"] == c).nonzero()[:rows, 0] for c in classes], dim=1).flatten()
    return Picture(
        image_grid(samples["images"][chosen], columns=len(classes), column_labels=[class_names[c] for c in classes]),
        "Generated images, unselected: the first of each class, a column a class.",
        pixelated=True,
    )


def sample_table(measures: Mapping[str, Any], label: str) -> Table:
    """The measures of one set of samples, each beside that of real images."""
    values, real = measures[f"samples {label}"], measures["real images"]
    name = measures["names"]["frechet_distance"]
    rows: list[list[str | float | None]] = [
        [name, distance(values), distance(real), "lower is better; ± its deviation"],
    ]
    if "frechet_distance_at_infinity" in values:
        infinity = [each.get("frechet_distance_at_infinity") for each in (values, real)]
        rows.append([f"{name} at infinity", *infinity, INFINITY])
    if "inception_score" in values:
        rows.append(["Inception Score", values["inception_score"], real.get("inception_score"), "higher is better"])
    for key, meaning in SHARES.items():
        if key in values:
            rows.append([key, _share(values[key]), _share(real[key]) if key in real else None, meaning])
    for key, meaning in RATIOS.items():
        if key in values:
            rows.append([key, values[key], real.get(key), meaning])
    if "recognised" in values:
        judge = "as the class asked for, by a classifier of real training images; beside it held-out images"
        rows.append(["recognised", _share(values["recognised"]), _share(real["recognised"]), judge])
    caption = (
        f"{values['count']:.0f} samples, and {real['count']:.0f} {measures['reference']['real images']} images as the "
        f"floor, each beside {reference_line(measures)}; features: {measures['features']}."
    )
    return Table(["measure", "samples", "real images", "meaning"], rows, caption=caption)


def missing_sections(measures: Mapping[str, Any]) -> list[Section]:
    """What is not on the page, and why: measures that the data do not allow, images that could not be read."""
    blocks: list[Table] = []
    if measures[LEFT_OUT]:
        blocks.append(Table(["measure", "why it is missing"], [list(pair) for pair in measures[LEFT_OUT].items()]))
    unreadable = measures["images"]["skipped"]
    if unreadable:
        caption = f"{len(unreadable)} images of the training and validation data were left out."
        blocks.append(Table(["image that could not be read"], [[name] for name in unreadable], caption=caption))
    return [Section("Left out", blocks)] if blocks else []


def training_section(
    records: Sequence[Mapping[str, Any]],
    trainings: Sequence[tuple[str, Mapping[str, Sequence[str]], str]],
    generators: Sequence[str],
) -> Section:
    """Curves of all trainings that ran.

    Args:
        records: All of ``metrics.jsonl``.
        trainings: Of the tokenizer and its parts: the stage, its panels as for
            :func:`vistok.workbench.reporting.plots.plot_curves`, and a caption.
        generators: Their names.
    """
    losses = [(name, {name: ["loss"]}, f"{name}: training loss.") for name in generators]
    pictures = []
    for stage, panels, caption in (*trainings, *losses):
        curve = [record for record in records if record["stage"] == stage]
        if curve:
            pictures.append(Picture(plot_curves(curve, panels), caption))
    return Section("Training", pictures)


def making_section(environment: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> Section:
    """What is needed to make the run again.

    Args:
        environment: As :func:`vistok.workbench.run.folder.write_config` keeps it.
        rows: What the recipe adds, a name and a value each, such as the numbers of steps.
    """
    others = environment.get(OTHERS, {})
    machine = f"{environment['processor']}, {environment['cores']} cores, {environment['torch_threads']} threads"
    table = Table(
        ["what", "value"],
        [
            ["command", environment["command"]],
            ["machine", machine],
            ["python", environment["python"]],
            ["versions", named_versions(environment["versions"])],
            *([f"versions of {stage}", named_versions(versions)] for stage, versions in others.items()),
            *rows,
        ],
    )
    return Section("How it was made", [table, Text("config.yaml beside this page holds every setting.")])


def _share(value: float) -> str:
    return f"{value:.1%}"


def generator_rows(generators: Mapping[str, Any]) -> list[list[str]]:
    """What a page says of each generator of the configuration: how it was trained, and how its samples were drawn."""
    rows = []
    for name, settings in generators.items():
        rows.append([f"generator {name}", f"{settings.train.steps} steps of {settings.train.batch_size} images"])
        for label, drawing in settings.samples.items():
            values = ", ".join(f"{key} {value}" for key, value in drawing.model_dump().items() if key != "batch_size")
            rows.append([f"samples {name}, {label}", values.replace("_", " ")])
    return rows


def load_environment(paths: RunPaths) -> dict[str, Any]:
    """The record of versions and machine that the run's folder holds."""
    record = read_json(paths.environment)
    return record


def data_line(measures: Mapping[str, Any], data_name: str, *, image_size: int, seed: int, processor: str) -> str:
    """The line under a report's title: which images, how many, which seed, on what, and who made the images."""
    counts = measures["images"]
    line = (
        f"{data_name}: {counts['train']:,} training and {counts['validation']:,} validation images at "
        f"{image_size} px; seed {seed}; {processor}"
    )
    return f"{line}. {counts['attribution']}" if "attribution" in counts else line


def write_page(paths: RunPaths, name: str, title: str, sections: Sequence[Section], *, subtitle: str) -> None:
    """Write the page of an evaluation (nothing outside it is needed), and its pictures as files of their own.

    Where the run holds a page that looks into the codes, a section links to it.
    """
    if paths.inspection.exists():
        after = ": where each code occurs, what is near it, what images become when one takes another's place."
        sections = [*sections, Section("Look into the codes", [Link(paths.inspection.name, "The inspector", after)])]
    paths.pictures.mkdir(exist_ok=True)
    for section in sections:
        pictures = [block for block in section.blocks if isinstance(block, Picture)]
        base = section.heading.lower().replace(":", "").replace(" ", "-")
        for number, picture in enumerate(pictures, 1):
            file = f"{base}-{number}" if len(pictures) > 1 else base
            write_atomically(paths.pictures / f"{file}.png", picture.png)
    write_atomically(paths.report(name), render_report(title, sections, subtitle=subtitle))
