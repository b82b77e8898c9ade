"""The run's page: pictures first, then measures, then how the run was made."""

from typing import Any

import torch
from torch import Tensor

from glotok.config import GloTokConfig
from glotok.paths import RunPaths
from glotok.reconstruct import RETENTION, load_reconstructions
from glotok.retention import BOOKS, SIDES
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.evaluation.evaluation_file import load_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_files
from vistok.workbench.reporting.plots import plot_histograms, plot_lines, plot_usage
from vistok.workbench.reporting.sections import (
    data_line,
    generator_rows,
    load_environment,
    making_section,
    missing_sections,
    reconstruction_section,
    sample_section,
    training_section,
    write_page,
)
from vistok.workbench.reporting.verdict import Finding, findings, verdict_section
from vistok.workbench.run.files import read_json
from vistok.workbench.run.tracking import read_metrics

TOKENIZER_PANELS = {
    "reconstruction": ["reconstruction"],
    "perceptual": ["perceptual"],
    "quantization and residual": ["quantization", "residual"],
    "histogram relation": ["histogram"],
    "contrastive alignment": ["representation", "disentanglement"],
    "entropy of the codebooks": ["entropy"],
    "adversarial": ["adversarial", "discriminator"],
    "codes revived": ["revived"],
}


def write_report(config: GloTokConfig, paths: RunPaths, name: str) -> None:
    """Write the page of evaluation ``name``, and its pictures."""
    measures = load_evaluation(paths, name)
    stored = load_reconstructions(paths)
    train, _ = config.data.load()
    environment = load_environment(paths)

    grid = config.tokenizer.grid_size
    caption = f"Validation images and their reconstructions from {grid} x {grid} x 2 tokens."
    sections = [reconstruction_section(stored["originals"], stored["reconstructions"], measures, caption=caption)]
    for label, path in sample_files(config.generators, paths).items():
        if f"samples {label}" in measures:
            sections.append(sample_section(load_samples(path), measures, train.class_names, label=label))
    tokenizer = ("tokenizer", TOKENIZER_PANELS, "Tokenizer: unweighted terms of the loss.")
    if config.losses.alignment == "histogram":
        sections.append(semantic_section(measures, read_json(paths.teacher.with_suffix(".json"))))
    sections += [
        codebook_section(measures),
        retention_section(stored, measures),
        training_section(read_metrics(paths.metrics), [tokenizer], list(config.generators)),
        making_section(environment, settings_rows(config)),
        *missing_sections(measures),
        verdict_section(verdict(measures)),
    ]
    write_page(
        paths,
        name,
        f"GloTok: {config.name}",
        sections,
        subtitle=data_line(
            measures,
            train.name,
            image_size=config.data.image_size,
            seed=config.seed,
            processor=environment["processor"],
        ),
    )


def verdict(measures: dict[str, Any]) -> list[Finding]:
    """What worked and what did not."""
    usage = {f"{name} codebook": measures["codebooks"][name]["usage"] for name in ("semantic", "visual")}
    return findings(measures, reconstruction="reconstruction", usage=usage)


def settings_rows(config: GloTokConfig) -> list[list[str]]:
    """The settings that the page names itself."""
    losses, backbone = config.losses, f"{config.teacher.backbone} at {config.teacher.image_size} px"
    alignments = {
        "none": "none: both codebooks learn from the images alone",
        "histogram": f"relation histogram, weight {losses.histogram_weight:g}; the teacher is made before training",
        "contrastive": f"contrastive, weight {losses.representation_weight:g}, with disentanglement, "
        f"{losses.disentanglement_weight:g}; {backbone} runs in every step",
    }
    return [
        ["tokenizer", f"{config.train.steps} steps of {config.train.batch_size} images"],
        ["alignment of the semantic codebook", alignments[losses.alignment]],
        *generator_rows(config.generators),
    ]


def semantic_section(measures: dict[str, Any], teacher: dict[str, Any]) -> Section:
    """Teacher and student histograms of pairwise cosines."""
    semantic, visual = measures["codebooks"]["semantic"], measures["codebooks"]["visual"]
    plot = plot_histograms(
        {
            "teacher": torch.tensor(semantic["teacher_histogram"]),
            "semantic codebook": torch.tensor(semantic["histogram"]),
            "visual codebook (not taught)": torch.tensor(visual["histogram"]),
        }
    )
    table = Table(
        ["token set", "size", "mean cosine", "rms cosine"],
        [
            ["teacher", teacher["num_centres"], teacher["mean_cosine"], teacher["rms_cosine"]],
            ["semantic codebook", semantic["size"], semantic["mean_cosine"], semantic["rms_cosine"]],
            ["visual codebook", visual["size"], visual["mean_cosine"], visual["rms_cosine"]],
        ],
    )
    text = Text(
        f"The semantic codebook learns the teacher's histogram ({teacher_name(teacher)}); the relation loss ends at "
        f"{semantic['histogram_relation_loss']:.4f} nats. An rms cosine below {teacher['welch_bound']:.3f} cannot be "
        "reached by that many codes (Welch bound)."
    )
    return Section("Global relations", [Picture(plot, "Histograms of pairwise cosines."), table, text])


def teacher_name(record: dict[str, Any]) -> str:
    """What the teacher's vectors are, in words."""
    if record["source"] != "backbone":
        return {"checkpoint": str(record["key"]), "random": "random directions"}[record["source"]]
    stage = "" if record["stage"] is None else f", stage {record['stage']}"
    return f"{record['backbone']}{stage}{', centred' if record['centre'] else ''}"


def codebook_section(measures: dict[str, Any]) -> Section:
    """Usage of both codebooks and the uniformity of the semantic features."""
    books = measures["codebooks"]
    picture = Picture(
        plot_usage({name: torch.tensor(books[name]["counts"]) for name in ("semantic", "visual")}),
        "How often each code is chosen on the validation images, most frequent first.",
    )
    usage = Table(
        ["codebook", "size", "usage", "perplexity"],
        [[n, books[n]["size"], f"{books[n]['usage']:.1%}", books[n]["perplexity"]] for n in ("semantic", "visual")],
    )
    codes = measures["codes"]
    rows = [
        ["bits", codes.get("bits_per_image"), "as written"],
        ["bits a pixel", codes.get("bits_per_pixel"), "as written"],
        ["bits a pixel, as coded", codes.get("bits_per_pixel_as_coded"), "by an ideal code of the codes' frequencies"],
        ["mutual information", codes.get("mutual_information"), "bits that one code tells of the other"],
        ["its bias", codes.get("mutual_information_bias"), "what too few tokens add to it"],
    ]
    bits = Table(["tokens of an image", "value", "meaning"], [row for row in rows if row[1] is not None])
    uniformity = Table(
        ["uniformity of quantized semantic features", "value"],
        [[name.replace("_", " "), value] for name, value in measures.get("uniformity", {}).items()],
    )
    return Section("Codebooks", [picture, usage, bits, uniformity])


def retention_section(stored: dict[str, Tensor], measures: dict[str, Any]) -> Section:
    """Reconstructions from a part of the visual features, with and without the semantic ones (Fig. 4 of the paper)."""
    study = stored["retention"]
    originals = stored["studied"]
    rows, labels = [], []
    for index, image in enumerate(originals):
        for with_semantic, label in ((0, "visual only"), (1, "with semantic")):
            rows.append(torch.cat([study[index, with_semantic], image[None]]))
            labels.append(label)
    columns = [f"{part:.0%}" for part in RETENTION]
    grid = image_grid(
        torch.cat(rows), columns=len(columns) + 1, row_labels=labels, column_labels=[*columns, "original"]
    )
    found = measures["retention"]
    kept = [round(100 * part) for part in RETENTION]
    series = {words(book): [found[f"{book}_{part}"] for part in kept] for book in BOOKS}
    curve = plot_lines(kept, series, x_label="visual features kept, %", y_label="PSNR, dB")
    return Section(
        "Parts of the features",
        [
            Picture(grid, "Decoded with a part of the visual features, the others set to 0.", pixelated=True),
            Picture(curve, f"PSNR over {found['images']:.0f} validation images."),
            *frequency_parts(measures),
        ],
    )


def frequency_parts(measures: dict[str, Any]) -> list[Picture | Table | Text]:
    """Which spatial frequencies each codebook carries; nothing where they could not be measured."""
    parts: list[Picture | Table | Text] = []
    if "spectrum" in measures:
        spectrum = measures["spectrum"]
        curves = {words(side): spectrum[side] for side in SIDES}
        labels = {"x_label": "spatial frequency, 1 is Nyquist's", "y_label": "correlation with the original"}
        caption = "Which frequencies of the original the features of one codebook, or of both, give back."
        parts.append(Picture(plot_lines(spectrum["radius"], curves, **labels), caption))
    if "frequencies" in measures:
        found = measures["frequencies"]
        names = [(band, figure) for band in ("low", "high") for figure in ("correlation", "explained", "energy")]
        rows = [[words(side), *(found[f"{side}_{band}_{figure}"] for band, figure in names)] for side in SIDES]
        parts.append(Table(["features", *(f"{band}: {figure}" for band, figure in names)], rows))
        text = (
            f"Low frequencies lie below {found['cut']:g} of Nyquist's and hold {found['low_share']:.0%} of the energy, "
            "the mean of each image left out. Explained is the part of a band's energy that the images predict as "
            "they are, below 0 where nothing were better; a correlation does not see a wrong gain."
        )
        parts.append(Text(text))
    return parts


def words(name: str) -> str:
    """A name of measures, as it is read."""
    return name.replace("_", " ")
