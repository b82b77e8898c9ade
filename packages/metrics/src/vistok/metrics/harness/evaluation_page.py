"""The page of an evaluation: numbers, choices, and the reconstructions that came out worst and best."""

from collections.abc import Sequence
from pathlib import Path

import torch

from vistok.metrics.harness.evaluation import Evaluation, replace_file
from vistok.metrics.harness.gallery import Shown
from vistok.metrics.report.page import Picture, Section, Table, Text, render_report

FILE = "evaluation.html"
_CHOICES = "What the numbers depend on; vistok-eval compare tells whether those of two evaluations may be compared."


def write_page(folder: Path, evaluation: Evaluation, gallery: Sequence[Shown] = (), names: Sequence[str] = ()) -> Path:
    """Write ``evaluation.html``, one file that needs nothing else; its path.

    Args:
        folder: Where.
        evaluation: What it shows.
        gallery: The worst and the best reconstructions, where there are any.
        names: Of all images, in their order.
    """
    sections = [Section("Numbers", [Table(["section", "measure", "value"], evaluation.rows())])]
    if gallery:
        ends = zip(("Worst", "Best"), gallery, strict=True)
        sections.append(Section("Pictures", [_picture(end, shown, names) for end, shown in ends]))
    if evaluation.left_out:
        sections.append(Section("Left out", [Table(["measure", "why"], list(evaluation.left_out.items()))]))
    choices = [(name, str(value)) for name, value in evaluation.choices.items()]
    sections.append(Section("Choices", [Text(_CHOICES), Table(["choice", "value"], choices)]))
    count = evaluation.choices.get("count", 0)
    page = render_report(
        f"Evaluation: {evaluation.choices.get('subject', 'images')}",
        sections,
        subtitle=f"{count:,} image{'' if count == 1 else 's'}",
    )
    replace_file(folder / FILE, page)
    return folder / FILE


def _picture(end: str, shown: Shown, names: Sequence[str]) -> Picture:
    from vistok.metrics.report.pictures import image_grid

    pairs = torch.stack([shown.originals, shown.reconstructions]).flatten(0, 1)
    labels = [f"{value:.1f} dB" for value in shown.psnr.tolist()]
    grid = image_grid(
        pairs, columns=len(shown.indices), row_labels=["original", "reconstruction"], column_labels=labels
    )
    which = ", ".join(names[index] if names else str(index) for index in shown.indices.tolist())
    return Picture(grid, f"{end} by PSNR: {which}.", pixelated=pairs.shape[-1] <= 64)
