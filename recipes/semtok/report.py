"""The run's page: pictures first, then measures, then how the run was made."""

import math
from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.evaluate import by_steps, reconstructions, studies
from semtok.generator_config import MaskedSampleConfig
from semtok.length_report import lengths_section
from semtok.meaning_section import meaning_section
from semtok.noise import noise_by_step_section
from semtok.paths import RunPaths
from semtok.rate import SECTION as RATE
from semtok.rate import rate_section
from semtok.reconstruct import load_reconstructions
from semtok.sample import PROGRESS
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.evaluation.measures import load_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_files, spread
from vistok.workbench.reporting.plots import plot_lines
from vistok.workbench.reporting.sections import (
    data_line,
    generator_rows,
    load_environment,
    making_section,
    missing_sections,
    reference_line,
    sample_section,
    training_section,
    write_page,
)
from vistok.workbench.reporting.verdict import findings, verdict_section
from vistok.workbench.run.tensor_files import load_tensors
from vistok.workbench.run.tracking import read_metrics

TOKENIZER_PANELS = {
    "flow matching": ["flow"],
    "perceptual, one-step estimate": ["perceptual"],
    "from some of the tokens": ["nested"],
    "entropy": ["entropy"],
    "quantization": ["quantization"],
    "alignment": ["alignment", "decoder_alignment"],
}
REFINER_PANELS = {
    "reconstruction": ["reconstruction"],
    "perceptual": ["perceptual"],
    "from some of the tokens": ["nested"],
    "adversarial": ["adversarial", "discriminator"],
    "mean flow, squared error": ["mean_flow_error"],
}
SHOWN_SEEDS = 6
STEP_SAMPLES = 10


def write_report(config: SemTokConfig, paths: RunPaths, name: str) -> None:
    """Write the page of evaluation ``name``, and its pictures."""
    measures = load_evaluation(paths, name)
    stored = load_reconstructions(paths)
    train, _ = config.data.load()
    environment = load_environment(paths)

    sections = [reconstruction_section(stored, measures, config)]
    for label, path in sample_files(config.generators, paths).items():
        if f"samples {label}" in measures:
            sections.append(sample_section(load_samples(path), measures, train.class_names, label=label))
    for label, (study, drawing) in studies(config, paths).items():
        sections.append(steps_section(study, measures, drawing, label))
    sections.append(lengths_section(stored, measures, bits=config.tokenizer.bits))
    sections.append(noise_section(stored, measures))
    sections.append(noise_by_step_section(measures, reconstructions(config, stored), len(stored["noise originals"])))
    sections.append(tokens_section(measures, config))
    if paths.swaps(name).exists() and "swaps" in measures:
        sections.append(meaning_section(load_tensors(paths.swaps(name)), measures))
    if RATE in measures:
        sections.append(rate_section(measures, config))
    trainings = [
        ("tokenizer", TOKENIZER_PANELS, "Stage I: unweighted terms of the loss."),
        ("refiner", REFINER_PANELS, "Stage II: unweighted terms of the loss."),
    ]
    sections.append(training_section(read_metrics(paths.metrics), trainings, list(config.generators)))
    sections.append(making_section(environment, making_rows(config)))
    found = findings(measures, reconstruction=reconstructions(config, stored)[-1], usage=token_usage(measures))
    sections += [*missing_sections(measures), verdict_section(found)]
    subtitle = data_line(
        measures, train.name, image_size=config.data.image_size, seed=config.seed, processor=environment["processor"]
    )
    write_page(paths, name, f"SemTok: {config.name}", sections, subtitle=subtitle)


def reconstruction_section(stored: dict[str, Tensor], measures: dict[str, Any], config: SemTokConfig) -> Section:
    """Originals over stage I by its number of steps and stage II, if it is trained, and the measures of each."""
    names = reconstructions(config, stored)
    calls = "1 call" if config.refiner.num_steps == 1 else f"{config.refiner.num_steps} calls"
    labels = [f"stage II, {calls}" if name == "refined" else name for name in names]
    rows = torch.cat([stored[name] for name in ("originals", *names)])
    sizes, called = config.tokenizer, measures["names"]
    rate = sizes.num_tokens * math.log2(sizes.codebook_size)
    caption = (
        f"Validation images, what stage I samples from their {sizes.num_tokens} tokens of {sizes.token_words} "
        f"({rate:g} bits an image)"
        + (f", and what stage II makes of them in {calls}." if "refined" in names else "; there is no stage II.")
    )
    table = Table(
        ["reconstruction", "PSNR, dB", "SSIM", called["perceptual_distance"], called["frechet_distance"]],
        [
            [label, *(measures[name].get(key) for key in ("psnr", "ssim", "perceptual_distance", "frechet_distance"))]
            for name, label in zip((*names, "mean image"), (*labels, "mean training image"), strict=True)
        ],
        caption=(
            f"Means over all {measures['images']['validation']:,} validation images; features: {measures['features']}. "
            "Not LPIPS, and not the Inception FID; lower is better for both."
        ),
    )
    picture = Picture(
        image_grid(rows, columns=len(stored["originals"]), row_labels=["original", *labels]), caption, pixelated=True
    )
    return Section("Reconstructions", [picture, table])


def steps_section(
    stored: dict[str, Tensor], measures: dict[str, Any], drawing: MaskedSampleConfig, label: str
) -> Section:
    """Samples by the number of decoding steps, and images while the same tokens come in raster and in random order."""
    steps = drawing.progress_steps
    columns = min(STEP_SAMPLES, stored["by_steps"].shape[1])
    pictures = image_grid(
        stored["by_steps"][:, :columns].flatten(0, 1),
        columns=columns,
        row_labels=[f"{count} steps" if count > 1 else "1 step" for count in steps],
    )
    blocks: list[Picture | Table | Text] = [
        Picture(
            pictures,
            f"The same classes, generated in more and more steps, order {drawing.order}.",
            pixelated=True,
        )
    ]
    blocks.append(steps_table(measures, drawing, label))
    for order in ("raster", "random"):
        rows: Tensor = stored[order]
        grid = image_grid(
            rows.flatten(0, 1), columns=rows.shape[1], column_labels=[f"{100 * share:g}%" for share in PROGRESS]
        )
        blocks.append(
            Picture(
                grid,
                f"1-D tokens generated in {order} order: stage I's picture of the tokens known so far.",
                pixelated=True,
            )
        )
    return Section(f"Generation step by step: {label}", blocks)


def steps_table(measures: dict[str, Any], drawing: MaskedSampleConfig, label: str) -> Table:
    """The measures of the study's samples, a line a number of steps, and those of real images."""
    keys = ("recognised", "precision", "recall", "density", "coverage", "diversity", "frechet_distance")
    lines = [(str(steps), measures[by_steps(label, steps)]) for steps in drawing.progress_steps]
    lines.append(("real images", measures["real images"]))
    caption = (
        f"{lines[0][1]['count']:.0f} samples each, {measures['real images']['count']:.0f} real images, all beside "
        f"{reference_line(measures)}: compare the distance, recall and coverage only between equal numbers."
    )
    names = [*keys[:-1], measures["names"]["frechet_distance"]]
    return Table(["steps", *names], [[name, *(values.get(key) for key in keys)] for name, values in lines], caption)


def noise_section(stored: dict[str, Tensor], measures: dict[str, Any]) -> Section:
    """Stage I from several noises for the same tokens."""
    originals = stored["noise originals"]
    shown = spread(len(originals), SHOWN_SEEDS)
    seeds = stored["seeds"][shown]
    rows = torch.cat([originals[shown, None], seeds], dim=1)
    labels = ["original", *(f"noise {number + 1}" for number in range(seeds.shape[1]))]
    values = measures["noise"]
    table = Table(
        ["stage I, same tokens", "value", "meaning"],
        [
            ["deviation of a pixel", values["deviation"], "between noises, of 255"],
            ["PSNR between noises", values["psnr_between"], "dB: what the tokens leave open"],
            ["PSNR to the original", values["psnr_to_original"], "dB"],
            [
                "PSNR to another image's sample",
                values.get("psnr_other_image"),
                "dB, the same noise: what the tokens fix",
            ],
        ],
    )
    picture = Picture(
        image_grid(rows.flatten(0, 1), columns=rows.shape[1], column_labels=labels),
        "Samples of stage I from the same tokens and different noise.",
        pixelated=True,
    )
    return Section("Noise and content", [picture, table])


def tokens_section(measures: dict[str, Any], config: SemTokConfig) -> Section:
    """How bits or codes are used, and what a linear probe reads from them."""
    rows = usage_rows(measures)
    if "probe" in measures:
        probe = measures["probe"]
        rows.append(["linear probe of the tokens", f"{probe['accuracy']:.1%}", "of the validation images' classes"])
        rows.append(["most frequent class", f"{probe['most_frequent_class']:.1%}", "what guessing reaches"])
    blocks: list[Picture | Table | Text] = [Table(["measure", "value", "meaning"], rows)]
    if "bits" in measures:
        balance = sorted(measures["bits"]["share_of_ones"])
        numbers = list(range(1, len(balance) + 1))
        curve = plot_lines(numbers, {"bits, sorted": balance}, x_label="bit", y_label="share of ones")
        blocks.append(Picture(curve, "Balance of all bits."))
    aligned = config.losses.alignment_weight
    text = Text(
        f"The encoder's two streams are aligned to {config.alignment.backbone} with weight {aligned}."
        if aligned
        else "Trained without semantic alignment."
    )
    return Section("Tokens", [*blocks, text])


def usage_rows(measures: dict[str, Any]) -> list[list[str | float]]:
    """The lines on the use of bits, or of codes that are not strings of bits."""
    if "bits" in measures:
        bits = measures["bits"]
        return [
            ["bits alive", f"{bits['alive']:.1%}", f"of {bits['count']:,}: both values occur on the validation images"],
            ["mean entropy of a bit", bits["entropy"], "in bits; 1 is a fair coin"],
        ]
    codes = measures["codebook"]
    return [
        ["codes in use", f"{codes['usage']:.1%}", f"of {codes['size']:,}: occur on the validation images"],
        ["perplexity", codes["perplexity"], "as many codes, equally often used, have the same entropy"],
    ]


def token_usage(measures: dict[str, Any]) -> dict[str, float]:
    """What tokens are made of, and the share in use."""
    return {"bits": measures["bits"]["alive"]} if "bits" in measures else {"codes": measures["codebook"]["usage"]}


def making_rows(config: SemTokConfig) -> list[list[str]]:
    """What the recipe adds to the record of how a run was made."""
    return [
        ["stage I", f"{config.train.steps} steps of {config.train.batch_size} images"],
        ["stage II", f"{config.train_refiner.steps} steps of {config.train_refiner.batch_size} images"],
        ["refiner's input", config.refiner.kind],
        ["stage I's sampler", f"guidance {config.sampler.guidance}, grid power {config.sampler.power}"],
        *generator_rows(config.generators),
    ]
