"""The sections that the report of every recipe has, and the page that they make with a recipe's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vistok.workbench.files import read_json, write_atomically
from vistok.workbench.paths import RunPaths
from vistok.workbench.pictures import image_grid, pair_grid
from vistok.workbench.plots import plot_curves
from vistok.workbench.report import Picture, Section, Table, Text, render_report

_PAIRS = 24
_SAMPLE_ROWS = 8
_LARGEST_CLASSES = 10


def reconstruction_section(
    originals: Tensor, reconstructions: Tensor, figures: Mapping[str, Any], *, caption: str
) -> Section:
    """Originals over reconstructions, and the figures of the whole validation set.

    Args:
        originals: ``(N, C, H, W)``, uint8; up to 24 of them are shown.
        reconstructions: The same shape.
        figures: The run's, with ``reconstruction``, ``images`` and ``features``.
        caption: Of the pictures.
    """
    shown = torch.linspace(0, len(originals) - 1, min(_PAIRS, len(originals))).long()
    picture = Picture(pair_grid(originals[shown], reconstructions[shown]), caption, pixelated=True)
    return Section("Reconstructions", [picture, reconstruction_table(figures)])


def reconstruction_table(figures: Mapping[str, Any], section: str = "reconstruction") -> Table:
    """The four figures of reconstructions that ``figures[section]`` holds, each with its meaning."""
    values = figures[section]
    return Table(
        ["measure", "value", "meaning"],
        [
            ["PSNR", values["psnr"], "dB, mean over images of 8-bit pixels"],
            ["SSIM", values["ssim"], "mean over images"],
            ["Lite0 perceptual distance", values["perceptual_distance"], "not LPIPS; lower is better"],
            ["Lite0-FID", values["frechet_distance"], "reconstructions against their originals; not the Inception FID"],
        ],
        caption=f"All {figures['images']['validation']:,} validation images; features: {figures['features']}.",
    )


def sample_section(
    samples: Mapping[str, Tensor], figures: Mapping[str, Any], class_names: Sequence[str], *, kind: str, name: str
) -> Section:
    """The first samples of each class, a column a class, and how well they are recognised.

    Args:
        samples: ``images`` and ``labels`` of one kind of generator.
        figures: The run's, with ``samples <kind>`` and ``real images``.
        class_names: Of the data; the first ten are shown.
        kind: The generator, as figures name it.
        name: The generator, as people do.
    """
    classes = min(len(class_names), _LARGEST_CLASSES)
    rows = min(_SAMPLE_ROWS, *((samples["labels"] == c).sum().item() for c in range(classes)))
    chosen = torch.stack([(samples["labels"] == c).nonzero()[:rows, 0] for c in range(classes)], dim=1).flatten()
    columns = [label[:9] for label in class_names[:classes]]
    picture = Picture(
        image_grid(samples["images"][chosen], columns=classes, column_labels=columns),
        "Generated images, unselected: the first of each class, a column a class.",
        pixelated=True,
    )
    values, real = figures[f"samples {kind}"], figures["real images"]
    lines: list[list[str | float]] = [
        ["Lite0-FID of samples", values["frechet_distance"], f"{values['count']:.0f} samples against held-out images"],
        ["Lite0-FID of training images", real["frechet_distance"], "as many real images: the floor"],
    ]
    if "recognised" in values:
        asked, judge = f"{values['recognised']:.1%}", "by a classifier of real training images"
        lines.append(["recognised as the class asked for", asked, judge])
        lines.append(["held-out real images recognised", f"{real['recognised']:.1%}", "the same classifier"])
    return Section(f"Samples: {name}", [picture, Table(["measure", "value", "meaning"], lines)])


def training_section(
    records: Sequence[Mapping[str, Any]],
    trainings: Sequence[tuple[str, Mapping[str, Sequence[str]], str]],
    generators: Mapping[str, str],
) -> Section:
    """Curves of all trainings that ran.

    Args:
        records: All of ``metrics.jsonl``.
        trainings: Of the tokenizer and its parts: the stage, its panels as for
            :func:`vistok.workbench.plots.plot_curves`, and a caption.
        generators: Kinds of generators and their names for people.
    """
    losses = [(kind, {name: ["loss"]}, f"{name}: training loss.") for kind, name in generators.items()]
    pictures = []
    for stage, panels, caption in (*trainings, *losses):
        curve = [record for record in records if record["stage"] == stage]
        if curve:
            pictures.append(Picture(plot_curves(curve, panels), caption))
    return Section("Training", pictures)


def making_section(environment: Mapping[str, Any], rows: Sequence[Sequence[str]]) -> Section:
    """What is needed to make the run again.

    Args:
        environment: As :func:`vistok.workbench.run.environment_record` made it.
        rows: What the recipe adds, a name and a value each, such as the numbers of steps.
    """
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    machine = f"{environment['processor']}, {environment['cores']} cores, {environment['torch_threads']} threads"
    table = Table(
        ["what", "value"],
        [
            ["command", environment["command"]],
            ["machine", machine],
            ["python", environment["python"]],
            ["versions", versions],
            *rows,
        ],
    )
    return Section("How it was made", [table, Text("config.yaml beside this page holds every setting.")])


def load_environment(paths: RunPaths) -> dict[str, Any]:
    """The record of versions and machine that the run's folder holds."""
    record = read_json(paths.environment)
    return record


def data_line(figures: Mapping[str, Any], data_name: str, *, image_size: int, seed: int, processor: str) -> str:
    """The line under a report's title: which images, how many, which seed, on what."""
    counts = figures["images"]
    return (
        f"{data_name}: {counts['train']:,} training and {counts['validation']:,} validation images at "
        f"{image_size} px; seed {seed}; {processor}"
    )


def write_page(paths: RunPaths, title: str, sections: Sequence[Section], *, subtitle: str) -> None:
    """Write ``report.html`` (nothing outside it is needed), and its pictures as files of their own."""
    paths.pictures.mkdir(exist_ok=True)
    for section in sections:
        pictures = [block for block in section.blocks if isinstance(block, Picture)]
        base = section.heading.lower().replace(":", "").replace(" ", "-")
        for number, picture in enumerate(pictures, 1):
            name = f"{base}-{number}" if len(pictures) > 1 else base
            write_atomically(paths.pictures / f"{name}.png", picture.png)
    write_atomically(paths.report, render_report(title, sections, subtitle=subtitle))
