"""The figures that every recipe reports, and the file they go to (their meaning: ``docs/metrics.md``)."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics import (
    LITE0,
    FeatureBackbone,
    NotMeasurableError,
    Recognizer,
    density_coverage,
    fit_recognizer,
    frechet_distance,
    from_uint8,
    perceptual_distance,
    precision_recall,
    psnr,
    relative_diversity,
    ssim,
)
from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.evaluation.features import pooled_features
from vistok.workbench.recipe_config import EvaluateConfig
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.paths import DEFAULT, RunPaths
from vistok.workbench.run.tracking import MetricsLog

logger = logging.getLogger(__name__)

LEFT_OUT = "left out"
_MEAN_OF = 5000  # training images that the mean image is of, at most
_JUDGED_BY = 5000  # training images that the judge of samples is fitted on, at most: its time grows with the square


def image_counts(train: Images, validation: Images) -> dict[str, Any]:
    """How many images there are, and the names of those of both splits that could not be read."""
    return {"train": len(train), "validation": len(validation), "skipped": [*train.skipped, *validation.skipped]}


def measure_names(settings: EvaluateConfig) -> dict[str, str]:
    """What reports call the two distances of a feature network: by the network, since their numbers are only its own.

    Example:
        >>> measure_names(EvaluateConfig())["frechet_distance"]
        'Lite0-FID'
        >>> measure_names(EvaluateConfig(backbone="resnet50.a1_in1k", weights="mine.pth"))["frechet_distance"]
        'Frechet distance on resnet50.a1_in1k (mine.pth)'
    """
    if settings.backbone == LITE0 and settings.weights is None:
        return {"perceptual_distance": "Lite0 perceptual distance", "frechet_distance": "Lite0-FID"}
    network = settings.backbone if settings.weights is None else f"{settings.backbone} ({Path(settings.weights).name})"
    return {
        "perceptual_distance": f"perceptual distance on {network}",
        "frechet_distance": f"Frechet distance on {network}",
    }


class Evaluation:
    """The figures of one evaluation, all against the same held-out images in one feature network.

    What the data do not allow (too few images, say) is left out with its reason, in the section ``left out``.

    Args:
        settings: The feature network, where its weights come from, and the size it sees.
        originals: The held-out images, ``(N, C, H, W)`` uint8.
        labels: Their classes, ``(N,)``.
    """

    def __init__(self, settings: EvaluateConfig, originals: Tensor, labels: Tensor) -> None:
        self.originals, self.labels = originals, labels
        self.image_size = settings.image_size
        self.backbone = FeatureBackbone(settings.backbone, weights=settings.weights).to(best_device())
        self.held_out = self.features(originals)
        #: A classifier of real training images; :meth:`add_generation` fits it where there are classes.
        self.judge: Recognizer | None = None
        #: Sections by name.
        self.figures: dict[str, Any] = {
            "features": f"{settings.backbone} at {settings.image_size} px, weights {self.backbone.fingerprint()}",
            "measures": measure_names(settings),
            LEFT_OUT: {},
        }

    def features(self, images: Tensor) -> Tensor:
        """Pooled features of images."""
        return pooled_features(self.backbone, images, image_size=self.image_size)

    def add(self, section: str, what: str, measure: Callable[[], Mapping[str, Any]]) -> None:
        """Put what a call gives into a section; where the data do not allow it, the reason, under ``section: what``."""
        try:
            values = measure()
        except NotMeasurableError as error:
            logger.warning("%s: %s is left out: %s", section, what, error)
            self.figures[LEFT_OUT][f"{section}: {what}"] = str(error)
            return
        self.figures.setdefault(section, {}).update(values)

    def add_reconstruction(self, section: str, images: Tensor) -> None:
        """PSNR, SSIM and perceptual distance (means over images), Frechet distance to the originals.

        Args:
            section: Their name.
            images: Reconstructions of the held-out images, of their shape, uint8.
        """
        originals = self.originals

        def stages(batch: Tensor) -> list[Tensor]:
            return self.backbone.stages(batch.to(self.backbone.mean.device), image_size=self.image_size)

        def perceptual() -> dict[str, float]:
            pair = from_uint8(images), from_uint8(originals)
            return {"perceptual_distance": perceptual_distance(stages, *pair).mean().item()}

        def frechet() -> dict[str, float]:
            return {"frechet_distance": frechet_distance(self.features(images), self.held_out)}

        self.add(section, "PSNR", lambda: {"psnr": psnr(images, originals).mean().item()})
        self.add(section, "SSIM", lambda: {"ssim": ssim(images, originals).mean().item()})
        self.add(section, "perceptual distance", perceptual)
        self.add(section, "Frechet distance", frechet)

    def add_mean_image(self, train: Images, *, seed: int) -> None:
        """PSNR of the mean training image as the reconstruction of every held-out one: what no tokens reach."""
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:_MEAN_OF]
        total = torch.stack([train.batch(part).double().sum(dim=0) for part in order.split(500)]).sum(dim=0)
        mean = (total / len(order)).float().expand(len(self.originals), -1, -1, -1)
        self.add("mean image", "PSNR", lambda: {"psnr": psnr(mean, from_uint8(self.originals)).mean().item()})

    def add_generation(
        self, samples: Mapping[str, Mapping[str, Tensor]], train: Images, *, real_count: int, seed: int
    ) -> None:
        """The figures of each set of samples, ``samples <label>``, after those of ``real images`` that bound them.

        Args:
            samples: Images and labels of each set, by its label, as
                :func:`vistok.workbench.evaluation.sampling.load_samples` gives them.
            train: Real images; a classifier of them judges the samples where there are classes.
            real_count: How many training images the floor is measured on: as many as there are samples.
            seed: Decides which.
        """
        if not samples:
            return
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:real_count]
        self.add_likeness("real images", train.batch(order), train.labels[order])
        if len(train.class_names) > 1:
            self.add("real images", "recognised", lambda: self._judged(train))
        for kind, drawn in samples.items():
            self.add_likeness(f"samples {kind}", drawn["images"], drawn["labels"])

    def add_likeness(self, section: str, images: Tensor, labels: Tensor) -> None:
        """How images that are not the held-out ones lie among them, and once there is a judge, what it recognises.

        Args:
            section: Their name.
            images: ``(M, C, H, W)``, uint8 or in ``[-1, 1]``.
            labels: The classes that they are to show, ``(M,)``.
        """
        features, held_out, judge = self.features(images), self.held_out, self.judge
        self.figures[section] = {"count": float(len(features))}
        self.add(section, "Frechet distance", lambda: {"frechet_distance": frechet_distance(features, held_out)})
        self.add(section, "precision and recall", lambda: precision_recall(held_out, features)._asdict())
        self.add(section, "density and coverage", lambda: density_coverage(held_out, features)._asdict())
        self.add(
            section,
            "diversity",
            lambda: {"diversity": relative_diversity(held_out, self.labels, features, labels)},
        )
        if judge is not None:
            self.add(section, "recognised", lambda: {"recognised": judge.accuracy(images, labels)})

    def _judged(self, train: Images) -> dict[str, float]:
        """Fit the judge of the samples, and what it makes of the held-out images."""
        indices = torch.arange(len(train))
        if len(indices) > _JUDGED_BY:
            indices = batch_indices(len(indices), _JUDGED_BY, step=0, seed=0)
        self.judge = judge = fit_recognizer(train.batch(indices), train.labels[indices])
        return {"recognised": judge.accuracy(self.originals, self.labels), "chance": 1 / len(train.class_names)}


def write_evaluation(paths: RunPaths, name: str, figures: Mapping[str, Any], sections: Iterable[str]) -> None:
    """Write the figures of an evaluation; log the numbers of some sections and append them to the metrics.

    Args:
        paths: The run.
        name: The evaluation's.
        figures: All of it.
        sections: Names in ``figures`` whose values are numbers by name; those that are missing are left out.
    """
    flat = {f"{section}: {key}": value for section in sections for key, value in figures.get(section, {}).items()}
    for key, value in flat.items():
        logger.info("%s %.4g", key.replace("_", " "), value)
    write_atomically(paths.evaluation(name), json.dumps(figures, indent=2) + "\n")
    metrics = MetricsLog(paths.metrics)
    stage = "evaluation" if name == DEFAULT else f"evaluation {name}"
    metrics.rewind(stage, -1)
    metrics.write(stage, 0, flat)


def load_evaluation(paths: RunPaths, name: str = DEFAULT) -> dict[str, Any]:
    """The figures of an evaluation."""
    return read_json(paths.evaluation(name))
