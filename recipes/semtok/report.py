"""The run's page: pictures first, then measures, then how the run was made."""

from collections.abc import Container
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
from semtok.reconstruct import load_reconstructions, stage_one
from semtok.sample import PROGRESS
from semtok.sampling import decoder_calls
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.evaluation.evaluation_file import load_evaluation
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
    sections += steps_sections(studies(config, paths), measures)
    sections.append(lengths_section(stored, measures, bits=config.tokenizer.token_bits))
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
    sections.append(making_section(environment, making_rows(config, measures)))
    found = findings(measures, reconstruction=reconstructions(config, stored)[-1], usage=token_usage(measures))
    sections += [*missing_sections(measures), verdict_section(found)]
    subtitle = data_line(
        measures, train.name, image_size=config.data.image_size, seed=config.seed, processor=environment["processor"]
    )
    write_page(paths, name, f"SemTok: {config.name}", sections, subtitle=subtitle)


def reconstruction_section(stored: dict[str, Tensor], measures: dict[str, Any], config: SemTokConfig) -> Section:
    """Originals over stage I by its number of steps and stage II, if it is trained, and the measures of each."""
    names = reconstructions(config, stored)
    calls = calls_of(config)
    shown = "1 call" if calls["refined"] == 1 else f"{calls['refined']} calls"
    labels = [f"stage II, {shown}" if name == "refined" else name for name in names]
    rows = torch.cat([stored[name] for name in ("originals", *names)])
    sizes, called = config.tokenizer, measures["names"]
    caption = (
        f"Validation images, what stage I samples from their {sizes.num_tokens} tokens of {sizes.token_words} "
        f"({sizes.num_tokens * sizes.token_bits:g} bits an image)"
        + (f", and what stage II makes of them in {shown}." if "refined" in names else "; there is no stage II.")
    )
    keys = ("psnr", "ssim", "perceptual_distance", "frechet_distance")
    table = Table(
        ["reconstruction", "calls", "PSNR, dB", "SSIM", called["perceptual_distance"], called["frechet_distance"]],
        [
            [label, calls.get(name), *(measures[name].get(key) for key in keys)]
            for name, label in zip((*names, "mean image"), (*labels, "mean training image"), strict=True)
        ],
        caption=(
            f"Means over all {measures['images']['validation']:,} validation images; features: {measures['features']}. "
            "Not LPIPS, and not the Inception FID; lower is better for both. Calls are those of a decoder's network: "
            "two at a guided step, none at the steps that a jump to the image leaves out."
        ),
    )
    picture = Picture(
        image_grid(rows, columns=len(stored["originals"]), row_labels=["original", *labels]), caption, pixelated=True
    )
    return Section("Reconstructions", [picture, table])


def calls_of(config: SemTokConfig) -> dict[str, int]:
    """How often each reconstruction calls a decoder's network."""
    sampler, refiner = config.sampler, config.refiner
    calls = {
        stage_one(steps): decoder_calls(sampler.model_copy(update={"num_steps": steps}))
        for steps in config.reconstruct.stage_one_steps
    }
    before = decoder_calls(sampler) if refiner.kind == "sample" else 0
    return calls | {"refined": before + refiner.num_steps}


def steps_sections(
    found: dict[str, tuple[dict[str, Tensor], MaskedSampleConfig]], measures: dict[str, Any]
) -> list[Section]:
    """Of the studies that a run holds those that its evaluation has measured."""
    return [
        steps_section(study, measures, drawing, label)
        for label, (study, drawing) in found.items()
        if all(by_steps(label, steps) in measures for steps in drawing.progress_steps)
    ]


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
    probe = measures.get("probe", {})
    if "accuracy" in probe:
        rows.append(["linear probe of the tokens", f"{probe['accuracy']:.1%}", "of the validation images' classes"])
        rows.append(["most frequent class", f"{probe['most_frequent_class']:.1%}", "what guessing reaches"])
    blocks: list[Picture | Table | Text] = [Table(["measure", "value", "meaning"], rows)]
    if "bits" in measures:
        balance = sorted(measures["bits"]["share_of_ones"])
        numbers = list(range(1, len(balance) + 1))
        curve = plot_lines(numbers, {"bits, sorted": balance}, x_label="bit", y_label="share of ones")
        blocks.append(Picture(curve, "Balance of all bits."))
    return Section("Tokens", [*blocks, Text(alignment_line(config))])


def alignment_line(config: SemTokConfig) -> str:
    """What was aligned to what, with which weights."""
    settings, losses, said = config.alignment, config.losses, []
    targets = {"pooled": "its pooled feature", "patches": "its patches", "both": "its patches and its pooled feature"}
    if losses.alignment_weight:
        streams = ["the encoder's patches to its patches"] if settings.streams != "queries" else []
        if settings.streams != "patches":
            streams.append("the queries to " + targets[settings.query_target])
        said.append(f"{' and '.join(streams)} with weight {losses.alignment_weight}")
    if settings.decoder_block:
        weight = losses.decoder_alignment_weight
        said.append(f"the decoder's patches after block {settings.decoder_block} to its patches with weight {weight}")
    return f"Aligned to {settings.backbone}: {'; '.join(said)}." if said else "Trained without semantic alignment."


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


def making_rows(config: SemTokConfig, measures: Container[str]) -> list[list[str]]:
    """What the recipe adds to the record of how a run was made; nothing of stage II where nothing is measured of it."""
    sampler, second = config.sampler, config.train_refiner
    drawn = f"{sampler.num_steps} steps in {decoder_calls(sampler)} calls, grid power {sampler.power}"
    if sampler.guidance != 1:
        drawn += f", guidance {sampler.guidance} from {sampler.guidance_low} to {sampler.guidance_high}"
    if sampler.jump_at is not None:
        drawn += f", one step to the image from {sampler.jump_at} on"
    rows = [["stage I", f"{config.train.steps} steps of {config.train.batch_size} images"]]
    if "refined" in measures:
        rows.append(["stage II", f"{second.steps} steps of {second.batch_size} images"])
        rows.append(["refiner's input", config.refiner.kind])
    return [*rows, ["stage I's sampler", drawn], *generator_rows(config.generators)]
