"""The report's section on sequences of any length: pictures, the curve, and the length that each image needs."""

from typing import Any

import torch
from torch import Tensor

from semtok.reconstruct import PREFIX, last_stage
from vistok.metrics.report.page import Picture, Section, Table
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.reporting.plots import plot_lines


def lengths_section(stored: dict[str, Tensor], measures: dict[str, Any], *, bits: float) -> Section:
    """Reconstructions from the first tokens only, and quality by their number; a token has so many ``bits``."""
    curve, count = measures["lengths"], measures["images"]["validation"]
    decoder = last_stage(measures, one_step=True)
    lines = {"the first": curve["prefix_psnr"], "scattered": curve["scattered_psnr"]}
    picture = plot_lines(curve["tokens"], lines, x_label="tokens known", y_label=f"PSNR of {decoder}, dB")
    caption = (
        f"PSNR and SSIM of {decoder}, means over all {count:,} validation images. Random order generates scattered "
        "tokens."
    )
    return Section(
        "Parts of the tokens",
        [
            prefix_picture(stored),
            Picture(picture, f"Means over all {count:,} validation images."),
            curve_table(curve, bits=bits, caption=caption),
            adaptive_table(measures["adaptive length"], bits=bits),
        ],
    )


def prefix_picture(stored: dict[str, Tensor]) -> Picture:
    """Some images from more and more of their first tokens, by each stage."""
    rows, labels = [], []
    for stages, image in zip(stored["prefix"], stored["prefix originals"], strict=True):
        for stage, label in zip(stages, ("stage I", "stage II")[: len(stages)], strict=True):
            rows.append(torch.cat([stage, image[None]]))
            labels.append(label)
    columns = [*(f"{100 * share:g}%" for share in PREFIX), "original"]
    grid = image_grid(torch.cat(rows), columns=len(columns), row_labels=labels, column_labels=columns)
    return Picture(grid, "Decoded from the first part of the tokens, the others hidden.", pixelated=True)


def curve_table(curve: dict[str, Any], *, bits: float, caption: str) -> Table:
    """A line a length."""
    called = {"psnr": "dB", "ssim": "SSIM"}
    keys = [
        (f"{kind}_{name}", f"{label}, {unit}")
        for kind, label in (("prefix", "the first"), ("scattered", "scattered"))
        for name, unit in called.items()
        if f"{kind}_{name}" in curve
    ]
    values = zip(curve["tokens"], *(curve[key] for key, _ in keys), strict=True)
    return Table(
        ["tokens known", "bits", *(label for _, label in keys)],
        [[str(length), f"{length * bits:,.0f}", *line] for length, *line in values],
        caption=caption,
    )


def adaptive_table(adaptive: dict[str, Any], *, bits: float) -> Table:
    """A line a wanted PSNR."""
    names = ("wanted", "tokens", "reached", "psnr", "tokens_alike")
    lines = []
    for wanted, tokens, reached, psnr, alike in zip(*(adaptive[name] for name in names), strict=True):
        lines.append([f"{wanted:.2f}", tokens, f"{tokens * bits:,.0f}", f"{reached:.1%}", psnr, alike])
    return Table(
        ["wanted, dB", "tokens, mean", "bits, mean", "images that reach it", "PSNR, mean", "tokens alike"],
        lines,
        caption=(
            "Each image keeps its first tokens until it has the wanted PSNR, found by bisection; one that never has "
            "keeps them all. Beside it the number of tokens, the same for all, that gives the same mean (on the curve "
            "above, straight between its points)."
        ),
    )
