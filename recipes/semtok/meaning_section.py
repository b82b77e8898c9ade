"""What tokens mean, on the run's page: images with one token of another one, measures, and both by place."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from semtok.reconstruct import last_stage
from vistok.metrics.report.page import Picture, Section, Table
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.reporting.plots import plot_lines

Row = list[str | float | int | None]


def meaning_section(stored: Mapping[str, Tensor], measures: Mapping[str, Any]) -> Section:
    """The section; ``stored`` holds the pictures."""
    places = [str(place + 1) for place in stored["places"].tolist()]
    rows = stored["images"]
    grid = image_grid(rows.flatten(0, 1), columns=rows.shape[1], column_labels=["own", *places, "other"])
    caption = (
        f"What {last_stage(measures)} makes of an image's own tokens, of these with the token of that place taken from "
        "the other image, and of the other image; all from one noise."
    )
    blocks: list[Picture | Table] = [Picture(grid, caption, pixelated=True)]
    table = [*agreement_rows(measures), *swap_rows(measures), *information_rows(measures), *probe_rows(measures)]
    blocks.append(Table(["measure", "value", "beside it", "meaning"], table))
    return Section("What tokens mean", [*blocks, *place_plots(measures)])


def agreement_rows(measures: Mapping[str, Any]) -> list[Row]:
    """Samples of the same tokens under other noise."""
    found = measures.get("agreement", {})
    rows: list[Row] = []
    kinds = (("class", "class", "between", "as_original"), ("cosine", "cosine of features", "between", "to_original"))
    for key, name, between, original in kinds:
        floor = found.get(f"{key}_other_image")
        for what, told in ((between, "two noises, the same tokens"), (original, "a sample and the image")):
            if f"{key}_{what}" in found:
                rows.append(
                    [f"{name}: {told}", found[f"{key}_{what}"], floor, "stage I; beside it other images' samples"]
                )
    return rows


def swap_rows(measures: Mapping[str, Any]) -> list[Row]:
    """One token of another image."""
    names = {
        "change": ("mean squared change of a pixel", "one token swapped, 8-bit units"),
        "area": ("area of the change", "share of the image that it is spread over"),
        "class_changes": ("another class is recognised", "share of the swaps"),
    }
    found = measures.get("swaps", {})
    return [
        [name, found[key], found[f"all_{key}"], f"{told}; beside it all tokens"]
        for key, (name, told) in names.items()
        if key in found
    ]


def information_rows(measures: Mapping[str, Any]) -> list[Row]:
    """Bits and the class."""
    found = measures.get("information")
    if found is None:
        return []
    told = "in bits, less the bias; beside it with classes in random order"
    return [
        ["what a bit tells of the class, mean", found["mean"], found["permuted"], told],
        ["the bit that tells most", found["most"], found["class_entropy"], "beside it all there is to tell"],
    ]


def probe_rows(measures: Mapping[str, Any]) -> list[Row]:
    """The same linear probe of the tokens and of plain codes."""
    found, rows = measures.get("probe", {}), []
    names = {"accuracy": "the tokens", "pca_codes": "principal components at as many bits", "pixels": "raw pixels"}
    for key, name in names.items():
        if key in found:
            row: Row = [f"linear probe of {name}", found[key], found["most_frequent_class"], "beside it guessing"]
            rows.append(row)
    return rows


def place_plots(measures: Mapping[str, Any]) -> list[Picture]:
    """What a swap does, and what a token's bits tell, by the token's place in the sequence."""
    found = measures.get("places", {})
    if "place" not in found:
        return []
    x = [place + 1 for place in found["place"]]
    whole = measures["swaps"]["all_change"] or 1.0
    series = {"share of the change that all tokens make": [value / whole for value in found["change"]]}
    series["area of the change"] = found["area"]
    if "class_changes" in found:
        series["another class is recognised"] = found["class_changes"]
    pictures = [Picture(plot_lines(x, series, x_label="token", y_label="share"), "One token swapped, by its place.")]
    if "information" in found:
        lines = {"mean over its bits": found["information"]}
        plot = plot_lines(x, lines, x_label="token", y_label="bits about the class, a bit")
        pictures.append(Picture(plot, "What a single bit tells of the class, by its token's place."))
    return pictures
