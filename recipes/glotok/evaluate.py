"""Every measure of a run: reconstruction, codebooks, uniformity, samples (their meaning: ``docs/metrics.md``)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glotok.config import EvaluateConfig, GloTokConfig
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from glotok.reconstruct import load_reconstructions
from glotok.retention import decode_parts
from glotok.teacher import load_teacher, teacher_histogram
from vistok.losses import histogram_relation_loss
from vistok.metrics import (
    cosine_moments,
    density_uniformity,
    one_position_per_image,
    wang_isola_uniformity,
)
from vistok.quantizers import CodebookUsage
from vistok.workbench.evaluation.measures import Evaluation, image_counts, write_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_files
from vistok.workbench.run.devices import best_device


def evaluate_run(config: GloTokConfig, paths: RunPaths, name: str) -> None:
    """Write the measures of evaluation ``name`` and append them to the metrics."""
    settings = config.evaluations[name]
    train, validation = config.data.load()
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    stored = load_reconstructions(paths)
    samples = {label: load_samples(path) for label, path in sample_files(config.generators, paths).items()}

    evaluation = Evaluation(settings, train, validation, seed=config.seed)
    evaluation.add("images", "counts", lambda: image_counts(train, validation))
    evaluation.add_mean_image()
    evaluation.add_reconstruction("reconstruction", tokenizer)
    teacher = load_teacher(paths, config.losses) if config.losses.alignment == "histogram" else None
    evaluation.add("codebooks", "usage", lambda: codebook_measures(tokenizer, stored, teacher, config))
    points = uniformity_points(tokenizer, stored, settings, seed=config.seed)
    evaluation.add("uniformity", "density", lambda: over_repeats(points, density_measures))
    evaluation.add("uniformity", "Wang-Isola", lambda: over_repeats(points, wang_isola_measures))
    parts = decode_parts(tokenizer, validation, settings, seed=config.seed)
    evaluation.add("retention", "PSNR", parts.retention_measures)
    evaluation.add("frequencies", "bands", parts.frequency_measures)
    evaluation.add("spectrum", "bands", parts.spectrum_measures)
    evaluation.add_generation(samples)
    generation = [section for section in evaluation.measures if section.startswith(("real images", "samples "))]
    own = ("uniformity", "retention", "frequencies")
    sections = ("mean image", "reconstruction", "codes", *own, *generation)
    write_evaluation(paths, name, evaluation.measures, sections)


def codebook_measures(
    tokenizer: GloTok, stored: dict[str, Tensor], teacher: Tensor | None, config: GloTokConfig
) -> dict[str, dict[str, Any]]:
    """Usage, perplexity, counts of each codebook over the validation images; the semantic one against its teacher.

    Where there is a teacher, that is: a histogram of relations that the semantic codebook learned.
    """
    measures: dict[str, dict[str, Any]] = {}
    for name, quantizer in (("semantic", tokenizer.quantizer.semantic), ("visual", tokenizer.quantizer.visual)):
        usage = CodebookUsage(quantizer.codebook_size)
        usage(stored[name].long())
        report = usage.report()
        moments = cosine_moments(quantizer.codebook.detach())
        measures[name] = {
            "size": quantizer.codebook_size,
            "usage": report.usage.item(),
            "perplexity": report.perplexity.item(),
            "mean_cosine": moments.mean,
            "rms_cosine": moments.rms,
            "histogram": teacher_histogram(quantizer.codebook.detach(), config.losses).tolist(),
            "counts": report.counts[0].tolist(),
        }
    if teacher is not None:
        codebook = tokenizer.quantizer.semantic.codebook.detach()
        loss = histogram_relation_loss(codebook, teacher, **config.losses.histogram)
        measures["semantic"] |= {"teacher_histogram": teacher.tolist(), "histogram_relation_loss": loss.item()}
    return measures


def uniformity_points(
    tokenizer: GloTok, stored: dict[str, Tensor], settings: EvaluateConfig, *, seed: int
) -> list[Tensor]:
    """Quantized semantic features at one random position of each of the drawn images, for each repeat (Table 3)."""
    tokens = Tokens(stored["semantic"].long(), stored["visual"].long())
    with torch.no_grad():
        semantic, _ = tokenizer.codes(tokens)
    repeats = (torch.Generator().manual_seed(seed * 1_009 + repeat) for repeat in range(settings.uniformity_repeats))
    return [
        one_position_per_image(semantic, generator=draws, num_images=settings.uniformity_points) for draws in repeats
    ]


def over_repeats(points: list[Tensor], measure: Callable[[Tensor], dict[str, float]]) -> dict[str, float]:
    """Means of measures over the repeats, and their deviations where there are several."""
    repeats = [measure(drawn) for drawn in points]
    values = {name: torch.tensor([repeat[name] for repeat in repeats], dtype=torch.float64) for name in repeats[0]}
    means = {name: value.mean().item() for name, value in values.items()}
    if len(repeats) > 1:
        means |= {f"{name}_sd": value.std().item() for name, value in values.items()}
    return means


def density_measures(points: Tensor) -> dict[str, float]:
    """Density CV, normalised entropy and Gini."""
    return dict(zip(("density_cv", "normalized_entropy", "gini"), density_uniformity(points), strict=True))


def wang_isola_measures(points: Tensor) -> dict[str, float]:
    """The uniformity of directions."""
    return {"wang_isola": wang_isola_uniformity(F.normalize(points, dim=1))}
