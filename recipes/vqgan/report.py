"""The run's page: pictures first, then measures, then how the run was made."""

from typing import Any

import torch

from vistok.metrics.report.page import Picture, Section, Table
from vistok.workbench.evaluation.evaluation_file import load_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_files
from vistok.workbench.reporting.plots import plot_usage
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
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tracking import read_metrics
from vqgan.config import VQGANConfig
from vqgan.reconstruct import load_reconstructions

TOKENIZER_PANELS = {
    "reconstruction": ["reconstruction"],
    "perceptual": ["perceptual"],
    "quantization": ["quantization"],
    "entropy": ["entropy"],
    "adversarial": ["adversarial", "discriminator"],
    "codes revived": ["revived"],
}


def write_report(config: VQGANConfig, paths: RunPaths, name: str) -> None:
    """Write the page of evaluation ``name``, and its pictures."""
    measures = load_evaluation(paths, name)
    stored = load_reconstructions(paths)
    train, _ = config.data.load()
    environment = load_environment(paths)

    grid = config.tokenizer.grid_size
    streams = len(config.tokenizer.quantizer.codebook_sizes)
    caption = f"Validation images and their reconstructions from {grid} x {grid} x {streams} tokens."
    sections = [reconstruction_section(stored["originals"], stored["reconstructions"], measures, caption=caption)]
    for label, path in sample_files(config.generators, paths).items():
        if f"samples {label}" in measures:
            sections.append(sample_section(load_samples(path), measures, train.class_names, label=label))
    tokenizer = ("tokenizer", TOKENIZER_PANELS, "Tokenizer: unweighted terms of the loss.")
    sections += [
        codebook_section(measures),
        training_section(read_metrics(paths.metrics), [tokenizer], list(config.generators)),
        making_section(environment, settings_rows(config)),
        *missing_sections(measures),
        verdict_section(verdict(measures)),
    ]
    write_page(
        paths,
        name,
        f"VQGAN: {config.name}",
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
    usage = {name: book["usage"] for name, book in measures["codebooks"].items()}
    return findings(measures, reconstruction="reconstruction", usage=usage)


def settings_rows(config: VQGANConfig) -> list[list[str]]:
    """The settings that the page names itself."""
    return [
        ["quantizer", ", ".join(f"{key} {value}" for key, value in config.tokenizer.quantizer.model_dump().items())],
        ["tokenizer", f"{config.train.steps} steps of {config.train.batch_size} images"],
        *generator_rows(config.generators),
    ]


def codebook_section(measures: dict[str, Any]) -> Section:
    """Usage of each codebook, bits, and the uniformity of the quantized features."""
    books = measures["codebooks"]
    picture = Picture(
        plot_usage({name: torch.tensor(book["counts"]) for name, book in books.items()}),
        "How often each code is chosen on the validation images, most frequent first.",
    )
    usage = Table(
        ["codebook", "size", "usage", "perplexity"],
        [[name, book["size"], f"{book['usage']:.1%}", book["perplexity"]] for name, book in books.items()],
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
        ["uniformity of quantized features", "value"],
        [[name.replace("_", " "), value] for name, value in measures.get("uniformity", {}).items()],
    )
    return Section("Codebooks", [picture, usage, bits, uniformity])
