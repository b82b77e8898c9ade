"""Every figure of a run: reconstruction, codebooks, uniformity, samples (their meaning: ``docs/metrics.md``)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glotok.config import KINDS, GloTokConfig
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from glotok.reconstruct import load_reconstructions
from glotok.sample import load_samples
from glotok.teacher import load_teacher, teacher_histogram
from vistok.losses import histogram_relation_loss
from vistok.quantizers import CodebookUsage
from vistok.workbench.backbones import FeatureBackbone
from vistok.workbench.data import Images
from vistok.workbench.data.pixels import from_uint8
from vistok.workbench.metrics import (
    cosine_moments,
    density_uniformity,
    frechet_distance,
    one_position_per_image,
    perceptual_distance,
    pooled_features,
    psnr,
    ssim,
    wang_isola_uniformity,
)
from vistok.workbench.recognition import Recognizer, fit_recognizer
from vistok.workbench.run import write_atomically
from vistok.workbench.tracking import MetricsLog
from vistok.workbench.training import best_device

logger = logging.getLogger(__name__)


def evaluate_run(config: GloTokConfig, paths: RunPaths) -> None:
    """Write ``evaluation.json`` and append its figures to the metrics."""
    train, validation = config.data.load()
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval()
    stored = load_reconstructions(paths)
    backbone = FeatureBackbone(config.evaluate.backbone).to(best_device())
    held_out = pooled_features(backbone, stored["originals"], image_size=config.evaluate.image_size)

    figures: dict[str, Any] = {
        "images": {"train": len(train), "validation": len(validation), "skipped": list(train.skipped)}
    }
    figures["features"] = (
        f"{config.evaluate.backbone} at {config.evaluate.image_size} px, weights {backbone.fingerprint()}"
    )
    figures["reconstruction"] = reconstruction_figures(backbone, stored, held_out, config)
    figures["codebooks"] = codebook_figures(tokenizer, stored, load_teacher(paths, config.losses), config)
    figures["uniformity"] = uniformity_figures(tokenizer, stored, config)
    sampled = [kind for kind in KINDS if paths.samples(kind).exists()]
    if sampled:
        figures["real images"] = real_figures(backbone, train, validation, held_out, config)
        recognizer = fit_recognizer(train) if len(train.class_names) > 1 else None
        if recognizer is not None:
            everything = validation.batch(torch.arange(len(validation)))
            figures["real images"]["recognised"] = recognizer.accuracy(everything, validation.labels)
        for kind in sampled:
            figures[f"samples {kind}"] = sample_figures(
                backbone, load_samples(paths, kind), recognizer, held_out, config
            )
    sections = ("reconstruction", "uniformity", "real images", *(f"samples {kind}" for kind in sampled))
    flat = {f"{section}: {name}": value for section in sections for name, value in figures.get(section, {}).items()}
    for name, value in flat.items():
        logger.info("%s %.4g", name.replace("_", " "), value)
    write_atomically(paths.evaluation, json.dumps(figures, indent=2) + "\n")
    metrics = MetricsLog(paths.metrics)
    metrics.rewind("evaluation", -1)
    metrics.write("evaluation", 0, flat)


def reconstruction_figures(
    backbone: FeatureBackbone, stored: dict[str, Tensor], held_out: Tensor, config: GloTokConfig
) -> dict[str, float]:
    """PSNR and SSIM (means over images), perceptual distance, Frechet distance of reconstructions to originals."""
    originals, images = stored["originals"], stored["reconstructions"]
    size = config.evaluate.image_size
    features = pooled_features(backbone, images, image_size=size)
    return {
        "psnr": psnr(images, originals).mean().item(),
        "ssim": ssim(images, originals).mean().item(),
        "perceptual_distance": perceptual_distance(backbone, from_uint8(images), from_uint8(originals), image_size=size)
        .mean()
        .item(),
        "frechet_distance": frechet_distance(features, held_out),
    }


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


def real_figures(
    backbone: FeatureBackbone, train: Images, validation: Images, held_out: Tensor, config: GloTokConfig
) -> dict[str, float]:
    """Frechet distance of real training images, as many as there are samples, to the held-out ones: the floor."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(config.seed))[
        : config.sample.num_samples
    ]
    features = pooled_features(backbone, train.batch(order), image_size=config.evaluate.image_size)
    return {"count": float(len(order)), "frechet_distance": frechet_distance(features, held_out)}


def sample_figures(
    backbone: FeatureBackbone,
    samples: dict[str, Tensor],
    recognizer: Recognizer | None,
    held_out: Tensor,
    config: GloTokConfig,
) -> dict[str, float]:
    """Frechet distance of samples to held-out images, and the share recognised as the class asked for."""
    features = pooled_features(backbone, samples["images"], image_size=config.evaluate.image_size)
    figures = {"count": float(len(features)), "frechet_distance": frechet_distance(features, held_out)}
    if recognizer is not None:
        figures["recognised"] = recognizer.accuracy(samples["images"], samples["labels"])
    return figures


def load_evaluation(path: Path) -> dict[str, Any]:
    """The figures of a run."""
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures
