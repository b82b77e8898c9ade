"""The page of an evaluation: numbers, choices, and the reconstructions that came out worst and best."""

from pathlib import Path

import torch

from vistok.metrics.harness.evaluation import Evaluation, replace_file
from vistok.metrics.harness.gallery import Shown
from vistok.metrics.report.page import Picture, Section, Table, Text, render_report

FILE = "evaluation.html"


def write_page(folder: Path, evaluation: Evaluation, gallery: tuple[Shown, Shown] | None = None) -> Path:
    """Write ``evaluation.html``, one file that needs nothing else; its path."""
    rows = [
        (section, name.replace("_", " "), value)
        for section, values in evaluation.measures.items()
        for name, value in values.items()
    ]
    sections = [Section("Numbers", [Table(["section", "measure", "value"], rows)])]
    if gallery is not None:
        sections.append(Section("Pictures", [_picture("Worst", gallery[0]), _picture("Best", gallery[1])]))
    if evaluation.left_out:
        sections.append(Section("Left out", [Table(["measure", "why"], list(evaluation.left_out.items()))]))
    told = "Every choice that moves a number. Compare two evaluations only where all of these agree."
    choices = [(name, str(value)) for name, value in evaluation.choices.items()]
    sections.append(Section("Choices", [Text(told), Table(["choice", "value"], choices)]))
    page = render_report(
        f"Evaluation: {evaluation.choices.get('subject', 'images')}",
        sections,
        subtitle=f"{evaluation.choices.get('count', 0):,} images",
    )
    replace_file(folder / FILE, page)
    return folder / FILE


def _picture(end: str, shown: Shown) -> Picture:
    from vistok.metrics.report.pictures import image_grid

    pairs = torch.stack([shown.originals, shown.reconstructions]).flatten(0, 1)
    labels = [f"{value:.1f} dB" for value in shown.psnr.tolist()]
    grid = image_grid(
        pairs, columns=len(shown.indices), row_labels=["original", "reconstruction"], column_labels=labels
    )
    which = ", ".join(map(str, shown.indices.tolist()))
    return Picture(grid, f"{end} by PSNR: images {which}.", pixelated=pairs.shape[-1] <= 64)
