"""The run's page: pictures first, then figures, then how the run was made."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from glotok.config import KINDS, GloTokConfig, Kind
from glotok.evaluate import load_evaluation
from glotok.paths import RunPaths
from glotok.reconstruct import RETENTION, load_reconstructions
from glotok.sample import load_samples
from vistok.workbench.metrics import psnr
from vistok.workbench.pictures import image_grid, pair_grid
from vistok.workbench.plots import plot_curves, plot_histograms, plot_lines, plot_usage
from vistok.workbench.report import Picture, Section, Table, Text, render_report
from vistok.workbench.run import write_atomically
from vistok.workbench.tracking import read_metrics

TOKENIZER_PANELS = {
    "reconstruction": ["reconstruction"],
    "perceptual": ["perceptual"],
    "quantization and residual": ["quantization", "residual"],
    "histogram relation": ["histogram"],
    "adversarial": ["adversarial", "discriminator"],
    "codes revived": ["revived"],
}
KIND_NAMES: dict[Kind, str] = {"xar": "xAR", "far": "FAR", "masked": "masked AR"}
SAMPLE_ROWS = 8
LARGEST_CLASSES = 10


def write_report(config: GloTokConfig, paths: RunPaths) -> None:
    """Write ``report.html`` (nothing outside it is needed) and its pictures as files of their own."""
    figures = load_evaluation(paths.evaluation)
    stored = load_reconstructions(paths)
    train, _ = config.data.load()
    environment = json.loads((paths.folder / "environment.json").read_text())
    teacher = json.loads(paths.teacher.with_suffix(".json").read_text())
    records = read_metrics(paths.metrics)

    sections = [reconstruction_section(stored, figures, config)]
    for kind in KINDS:
        if f"samples {kind}" in figures:
            sections.append(sample_section(load_samples(paths, kind), figures, train.class_names, kind))
    sections += [
        semantic_section(figures, teacher),
        codebook_section(figures),
        retention_section(stored),
        training_section(records),
        making_section(config, environment),
    ]
    paths.pictures.mkdir(exist_ok=True)
    for section in sections:
        pictures = [block for block in section.blocks if isinstance(block, Picture)]
        for index, picture in enumerate(pictures):
            name = section.heading.lower().replace(":", "").replace(" ", "-") + (
                f"-{index + 1}" if len(pictures) > 1 else ""
            )
            write_atomically(paths.pictures / f"{name}.png", picture.png)
    counts = figures["images"]
    subtitle = (
        f"{train.name}: {counts['train']:,} training and {counts['validation']:,} validation images at "
        f"{config.data.image_size} px; seed {config.seed}; {environment['processor']}"
    )
    write_atomically(paths.report, render_report(f"GloTok: {config.name}", sections, subtitle=subtitle))


def reconstruction_section(stored: dict[str, Tensor], figures: dict[str, Any], config: GloTokConfig) -> Section:
    """Originals over reconstructions, and the figures of the whole validation set."""
    shown = torch.linspace(0, len(stored["originals"]) - 1, min(24, len(stored["originals"]))).long()
    values = figures["reconstruction"]
    table = Table(
        ["measure", "value", "meaning"],
        [
            ["PSNR", values["psnr"], "dB, mean over images of 8-bit pixels"],
            ["SSIM", values["ssim"], "mean over images"],
            ["Lite0 perceptual distance", values["perceptual_distance"], "not LPIPS; lower is better"],
            ["Lite0-FID", values["frechet_distance"], "reconstructions against their originals; not the Inception FID"],
        ],
        caption=f"All {figures['images']['validation']:,} validation images; features: {figures['features']}.",
    )
    grid = config.tokenizer.grid_size
    caption = f"Validation images and their reconstructions from {grid} x {grid} x 2 tokens."
    picture = Picture(pair_grid(stored["originals"][shown], stored["reconstructions"][shown]), caption, pixelated=True)
    return Section("Reconstructions", [picture, table])


def sample_section(
    samples: dict[str, Tensor], figures: dict[str, Any], class_names: tuple[str, ...], kind: Kind
) -> Section:
    """The first samples of each class, a column a class, and how well they are recognised."""
    classes = min(len(class_names), LARGEST_CLASSES)
    rows = min(SAMPLE_ROWS, *((samples["labels"] == c).sum().item() for c in range(classes)))
    chosen = torch.stack([(samples["labels"] == c).nonzero()[:rows, 0] for c in range(classes)], dim=1).flatten()
    picture = Picture(
        image_grid(
            samples["images"][chosen], columns=classes, column_labels=[name[:9] for name in class_names[:classes]]
        ),
        "Generated images, unselected: the first of each class, a column a class.",
        pixelated=True,
    )
    values, real = figures[f"samples {kind}"], figures["real images"]
    lines: list[list[str | float]] = [
        ["Lite0-FID of samples", values["frechet_distance"], f"{values['count']:.0f} samples against held-out images"],
        ["Lite0-FID of training images", real["frechet_distance"], "as many real images: the floor"],
    ]
    if "recognised" in values:
        lines += [
            [
                "recognised as the class asked for",
                f"{values['recognised']:.1%}",
                "by a classifier of real training images",
            ],
            ["held-out real images recognised", f"{real['recognised']:.1%}", "the same classifier"],
        ]
    return Section(f"Samples: {KIND_NAMES[kind]}", [picture, Table(["measure", "value", "meaning"], lines)])


def semantic_section(figures: dict[str, Any], teacher: dict[str, Any]) -> Section:
    """Teacher and student histograms of pairwise cosines."""
    semantic, visual = figures["codebooks"]["semantic"], figures["codebooks"]["visual"]
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
    source = teacher["backbone"] if teacher["source"] == "backbone" else teacher["key"]
    text = Text(
        f"The semantic codebook learns the teacher's histogram ({source}); the relation loss ends at "
        f"{semantic['histogram_relation_loss']:.4f} nats. An rms cosine below {teacher['welch_bound']:.3f} cannot be "
        "reached by that many codes (Welch bound)."
    )
    return Section("Global relations", [Picture(plot, "Histograms of pairwise cosines."), table, text])


def codebook_section(figures: dict[str, Any]) -> Section:
    """Usage of both codebooks and the uniformity of the semantic features."""
    books = figures["codebooks"]
    picture = Picture(
        plot_usage({name: torch.tensor(books[name]["counts"]) for name in ("semantic", "visual")}),
        "How often each code is chosen on the validation images, most frequent first.",
    )
    usage = Table(
        ["codebook", "size", "usage", "perplexity"],
        [[n, books[n]["size"], f"{books[n]['usage']:.1%}", books[n]["perplexity"]] for n in ("semantic", "visual")],
    )
    uniformity = Table(
        ["uniformity of quantized semantic features", "value"],
        [[name.replace("_", " "), value] for name, value in figures["uniformity"].items()],
    )
    return Section("Codebooks", [picture, usage, uniformity])


def retention_section(stored: dict[str, Tensor]) -> Section:
    """Reconstructions from a part of the visual features, with and without the semantic ones (Fig. 4 of the paper)."""
    study = stored["retention"]
    shown = torch.linspace(0, len(stored["originals"]) - 1, len(study)).long()
    originals = stored["originals"][shown]
    rows, labels = [], []
    for index, image in enumerate(originals):
        for with_semantic, label in ((0, "visual only"), (1, "with semantic")):
            rows.append(torch.cat([study[index, with_semantic], image[None]]))
            labels.append(label)
    columns = [f"{part:.0%}" for part in RETENTION]
    grid = image_grid(
        torch.cat(rows), columns=len(columns) + 1, row_labels=labels, column_labels=[*columns, "original"]
    )
    series = {
        name: [psnr(study[:, book, part].contiguous(), originals).mean().item() for part in range(len(RETENTION))]
        for book, name in ((0, "visual only"), (1, "with semantic"))
    }
    curve = plot_lines(
        [100 * part for part in RETENTION], series, x_label="visual features kept, %", y_label="PSNR, dB"
    )
    return Section(
        "Parts of the features",
        [
            Picture(grid, "Decoded with a part of the visual features, the others set to 0.", pixelated=True),
            Picture(curve, f"PSNR over these {len(study)} images."),
        ],
    )


def training_section(records: list[dict[str, Any]]) -> Section:
    """Curves of both trainings."""
    tokenizer = [record for record in records if record["stage"] == "tokenizer"]
    blocks = [Picture(plot_curves(tokenizer, TOKENIZER_PANELS), "Tokenizer: unweighted terms of the loss.")]
    for kind, name in KIND_NAMES.items():
        curve = [record for record in records if record["stage"] == kind]
        if curve:
            blocks.append(Picture(plot_curves(curve, {name: ["loss"]}), f"{name}: training loss."))
    return Section("Training", blocks)


def making_section(config: GloTokConfig, environment: dict[str, Any]) -> Section:
    """What is needed to make the run again."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    rows: list[list[str]] = [
        ["command", environment["command"]],
        [
            "machine",
            f"{environment['processor']}, {environment['cores']} cores, {environment['torch_threads']} threads",
        ],
        ["python", environment["python"]],
        ["versions", versions],
        ["tokenizer", f"{config.train.steps} steps of {config.train.batch_size} images"],
        ["generator", f"{config.train_generator.steps} steps of {config.train_generator.batch_size} images"],
        ["sampling", f"{config.sample.num_steps} solver steps a cell, guidance {config.sample.guidance}"],
    ]
    return Section(
        "How it was made", [Table(["what", "value"], rows), Text("config.yaml beside this page holds every setting.")]
    )
