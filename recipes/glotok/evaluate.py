"""Every figure of a run: reconstruction, codebooks, uniformity, samples (their meaning: ``docs/metrics.md``)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glotok.config import KINDS, GloTokConfig
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from glotok.reconstruct import load_reconstructions
from glotok.teacher import load_teacher, teacher_histogram
from vistok.losses import histogram_relation_loss
from vistok.quantizers import CodebookUsage
from vistok.workbench.backbones import FeatureBackbone
from vistok.workbench.evaluation import generation_figures, image_counts, reconstruction_figures, write_evaluation
from vistok.workbench.metrics import (
    cosine_moments,
    density_uniformity,
    one_position_per_image,
    pooled_features,
    wang_isola_uniformity,
)
from vistok.workbench.sampling import load_samples
from vistok.workbench.training import best_device


def evaluate_run(config: GloTokConfig, paths: RunPaths) -> None:
    """Write ``evaluation.json`` and append its figures to the metrics."""
    train, validation = config.data.load()
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval()
    stored = load_reconstructions(paths)
    size = config.evaluate.image_size
    backbone = FeatureBackbone(config.evaluate.backbone).to(best_device())
    held_out = pooled_features(backbone, stored["originals"], image_size=size)
    samples: dict[str, dict[str, Tensor]] = {
        kind: load_samples(paths.samples(kind)) for kind in KINDS if paths.samples(kind).exists()
    }

    figures: dict[str, Any] = {"images": image_counts(train, validation)}
    figures["features"] = f"{config.evaluate.backbone} at {size} px, weights {backbone.fingerprint()}"
    figures["reconstruction"] = reconstruction_figures(
        backbone, stored["originals"], stored["reconstructions"], held_out, image_size=size
    )
    figures["codebooks"] = codebook_figures(tokenizer, stored, load_teacher(paths, config.losses), config)
    figures["uniformity"] = uniformity_figures(tokenizer, stored, config)
    generation = generation_figures(
        backbone, samples, train, validation, held_out,
        real_count=config.sample.num_samples, seed=config.seed, image_size=size,
    )  # fmt: skip
    write_evaluation(paths, figures | generation, ("reconstruction", "uniformity", *generation))


def codebook_figures(
    tokenizer: GloTok, stored: dict[str, Tensor], teacher: Tensor, config: GloTokConfig
) -> dict[str, dict[str, Any]]:
    """Usage, perplexity, counts of each codebook over the validation images; the semantic one against its teacher."""
    figures: dict[str, dict[str, Any]] = {}
    for name, quantizer in (("semantic", tokenizer.quantizer.semantic), ("visual", tokenizer.quantizer.visual)):
        usage = CodebookUsage(quantizer.codebook_size)
        usage(stored[name].long())
        report = usage.report()
        moments = cosine_moments(quantizer.codebook.detach())
        figures[name] = {
            "size": quantizer.codebook_size,
            "usage": report.usage.item(),
            "perplexity": report.perplexity.item(),
            "mean_cosine": moments.mean,
            "rms_cosine": moments.rms,
            "histogram": teacher_histogram(quantizer.codebook.detach(), config.losses).tolist(),
            "counts": report.counts[0].tolist(),
        }
    losses = config.losses
    figures["semantic"]["teacher_histogram"] = teacher.tolist()
    figures["semantic"]["histogram_relation_loss"] = histogram_relation_loss(
        tokenizer.quantizer.semantic.codebook.detach(), teacher,
        bins=losses.histogram_bins, alpha=losses.histogram_alpha, norm=losses.histogram_norm,
    ).item()  # fmt: skip
    return figures


def uniformity_figures(tokenizer: GloTok, stored: dict[str, Tensor], config: GloTokConfig) -> dict[str, float]:
    """Density CV, normalised entropy, Gini of quantized semantic features, one random position an image (Table 3)."""
    tokens = Tokens(stored["semantic"].long(), stored["visual"].long())
    with torch.no_grad():
        semantic, _ = tokenizer.codes(tokens)
    semantic = semantic[: config.evaluate.uniformity_points]
    repeats = []
    for repeat in range(config.evaluate.uniformity_repeats):
        draws = torch.Generator().manual_seed(config.seed * 1_009 + repeat)
        points = one_position_per_image(semantic, generator=draws)
        repeats.append([*density_uniformity(points), wang_isola_uniformity(F.normalize(points, dim=1))])
    values = torch.tensor(repeats, dtype=torch.float64)
    names = ("density_cv", "normalized_entropy", "gini", "wang_isola")
    figures = dict(zip(names, values.mean(0).tolist(), strict=True))
    if len(values) > 1:
        figures |= {f"{name}_sd": sd for name, sd in zip(names, values.std(0).tolist(), strict=True)}
    return figures
