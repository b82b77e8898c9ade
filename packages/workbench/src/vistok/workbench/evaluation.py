"""The figures that every recipe reports, and the file they go to (their meaning: ``docs/metrics.md``)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from vistok.workbench.backbones import FeatureBackbone
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.pixels import from_uint8
from vistok.workbench.files import read_json, write_atomically
from vistok.workbench.metrics import frechet_distance, perceptual_distance, pooled_features, psnr, ssim
from vistok.workbench.paths import RunPaths
from vistok.workbench.recognition import Recognizer, fit_recognizer
from vistok.workbench.tracking import MetricsLog

logger = logging.getLogger(__name__)


def image_counts(train: Images, validation: Images) -> dict[str, Any]:
    """How many images there are, and the names of those of both splits that could not be read."""
    return {"train": len(train), "validation": len(validation), "skipped": [*train.skipped, *validation.skipped]}


def reconstruction_figures(
    backbone: FeatureBackbone, originals: Tensor, images: Tensor, held_out: Tensor, *, image_size: int
) -> dict[str, float]:
    """PSNR and SSIM (means over images), perceptual distance, Frechet distance of reconstructions to originals.

    Args:
        backbone: The feature network.
        originals: ``(N, C, H, W)``, uint8.
        images: Their reconstructions, the same shape and dtype.
        held_out: Pooled features of the originals.
        image_size: Images are resized to this for the backbone.
    """
    features = pooled_features(backbone, images, image_size=image_size)
    distance = perceptual_distance(backbone, from_uint8(images), from_uint8(originals), image_size=image_size)
    return {
        "psnr": psnr(images, originals).mean().item(),
        "ssim": ssim(images, originals).mean().item(),
        "perceptual_distance": distance.mean().item(),
        "frechet_distance": frechet_distance(features, held_out),
    }


def real_figures(
    backbone: FeatureBackbone, train: Images, held_out: Tensor, *, count: int, seed: int, image_size: int
) -> dict[str, float]:
    """Frechet distance of ``count`` real training images (drawn by ``seed``) to the held-out ones: the floor."""
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:count]
    features = pooled_features(backbone, train.batch(order), image_size=image_size)
    return {"count": float(len(order)), "frechet_distance": frechet_distance(features, held_out)}


def sample_figures(
    backbone: FeatureBackbone,
    samples: Mapping[str, Tensor],
    recognizer: Recognizer | None,
    held_out: Tensor,
    *,
    image_size: int,
) -> dict[str, float]:
    """Frechet distance of samples to held-out images, and the share recognised as the class asked for."""
    features = pooled_features(backbone, samples["images"], image_size=image_size)
    figures = {"count": float(len(features)), "frechet_distance": frechet_distance(features, held_out)}
    if recognizer is not None:
        figures["recognised"] = recognizer.accuracy(samples["images"], samples["labels"])
    return figures


def generation_figures(
    backbone: FeatureBackbone,
    samples: Mapping[str, Mapping[str, Tensor]],
    train: Images,
    validation: Images,
    held_out: Tensor,
    *,
    real_count: int,
    seed: int,
    image_size: int,
) -> dict[str, dict[str, float]]:
    """The figures of each kind of generator, ``samples <kind>``, after those of ``real images`` that bound them.

    Args:
        backbone: The feature network.
        samples: Each kind's images and labels, as :func:`vistok.workbench.sampling.load_samples` gives them.
        train: Real images; a classifier of them judges the samples where there are classes.
        validation: Held-out real images.
        held_out: Their pooled features.
        real_count: How many training images the floor is measured on: as many as there are samples.
        seed: Decides which.
        image_size: Images are resized to this for the backbone.

    Returns:
        A mapping to add to the run's figures; empty without samples.
    """
    if not samples:
        return {}
    real = real_figures(backbone, train, held_out, count=real_count, seed=seed, image_size=image_size)
    recognizer = fit_recognizer(train) if len(train.class_names) > 1 else None
    if recognizer is not None:
        everything = validation.batch(torch.arange(len(validation)))
        real["recognised"] = recognizer.accuracy(everything, validation.labels)
    figures = {"real images": real}
    for kind, drawn in samples.items():
        figures[f"samples {kind}"] = sample_figures(backbone, drawn, recognizer, held_out, image_size=image_size)
    return figures


def write_evaluation(paths: RunPaths, figures: Mapping[str, Any], sections: Iterable[str]) -> None:
    """Write ``evaluation.json``; log the numbers of some sections and append them to the metrics.

    Args:
        paths: The run.
        figures: All of it.
        sections: Names in ``figures`` whose values are numbers by name; those that are missing are left out.
    """
    flat = {f"{section}: {name}": value for section in sections for name, value in figures.get(section, {}).items()}
    for name, value in flat.items():
        logger.info("%s %.4g", name.replace("_", " "), value)
    write_atomically(paths.evaluation, json.dumps(figures, indent=2) + "\n")
    metrics = MetricsLog(paths.metrics)
    metrics.rewind("evaluation", -1)
    metrics.write("evaluation", 0, flat)


def load_evaluation(paths: RunPaths) -> dict[str, Any]:
    """The figures of a run."""
    return read_json(paths.evaluation)
