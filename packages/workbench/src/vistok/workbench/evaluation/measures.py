"""The measures that every recipe reports (their meaning: ``docs/metrics.md``)."""

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.metrics import (
    LITE0,
    BackboneFeatures,
    Measurement,
    NotMeasurableError,
    RealNeighbourhoods,
    Recognizer,
    Resampling,
    bootstrap_interval,
    evaluate_tokenizer,
    frechet_distance,
    frechet_distance_infinity,
    gaussian_factor,
    inception_score,
    neighbour_measures,
    open_network,
    psnr,
    read_reference_statistics,
    real_neighbourhoods,
    relative_diversity,
)
from vistok.metrics.distribution.frechet import GaussianFactor
from vistok.metrics.networks.by_name import INCEPTION
from vistok.workbench.config import ConfigError
from vistok.workbench.data.drawing import drawn_images, some_images
from vistok.workbench.data.image_set import Images, at_a_time
from vistok.workbench.evaluation.features import PairFeatures, network_features
from vistok.workbench.evaluation.recognizer import MOST, recognizer_of
from vistok.workbench.evaluation.sampling import load_samples
from vistok.workbench.recipe_config import EvaluateConfig
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import map_tensors

logger = logging.getLogger(__name__)

LEFT_OUT = "left out"
_OWN = ("seconds", "subject")  # of one reconstruction among several
_MEAN_OF = 5000  # training images that the mean image is of, at most


class Side(NamedTuple):
    """One side of a comparison: features ``(N, D)``, labels ``(N,)`` and, of some networks, class probabilities."""

    features: Tensor
    labels: Tensor
    probabilities: Tensor | None = None


def image_counts(train: Images, validation: Images) -> dict[str, Any]:
    """How many images there are, the names of those of both splits that could not be read, and who is to be named."""
    counts = {"train": len(train), "validation": len(validation), "skipped": [*train.skipped, *validation.skipped]}
    return counts | ({"attribution": train.attribution} if train.attribution else {})


def measure_names(settings: EvaluateConfig) -> dict[str, str]:
    """What reports call the two distances of a feature network: by the network, since their numbers are only its own.

    Example:
        >>> measure_names(EvaluateConfig())["frechet_distance"]
        'Lite0-FID'
        >>> measure_names(EvaluateConfig(backbone="resnet50.a1_in1k", weights="mine.pth"))["frechet_distance"]
        'Frechet distance on resnet50.a1_in1k (mine.pth)'
    """
    if settings.backbone == INCEPTION:
        return {"perceptual_distance": "perceptual distance", "frechet_distance": "FID"}
    if settings.backbone == LITE0 and settings.weights is None:
        return {"perceptual_distance": "Lite0 perceptual distance", "frechet_distance": "Lite0-FID"}
    network = settings.backbone if settings.weights is None else f"{settings.backbone} ({Path(settings.weights).name})"
    return {
        "perceptual_distance": f"perceptual distance on {network}",
        "frechet_distance": f"Frechet distance on {network}",
    }


class Evaluation:
    """The measures of one evaluation: reconstructions of the validation images, and samples beside real images.

    Images are read a batch at a time: memory does not grow with their number, but for the features of the reference.
    Several processes divide the images that a network sees or a tokenizer reconstructs; each has all measures.
    What the data do not allow (too few images, say) is left out with its reason, in the section ``left out``.

    Args:
        settings: The feature network, its weights, the size it sees, and what samples are compared with.
        train: The training images.
        validation: The held-out images.
        seed: Decides every draw.
    """

    def __init__(self, settings: EvaluateConfig, train: Images, validation: Images, *, seed: int) -> None:
        self.settings, self.train, self.validation, self.seed = settings, train, validation, seed
        self._at_a_time = at_a_time(validation.image_size)
        self.network = open_network(
            settings.backbone, weights=settings.weights, image_size=settings.image_size, device=best_device()
        )
        #: A classifier of real training images; :meth:`add_generation` fits it where there are classes.
        self.recognizer: Recognizer | None = None
        at = f" at {settings.image_size} px" if isinstance(self.network, BackboneFeatures) else ""
        #: Sections by name.
        self.measures: dict[str, Any] = {
            "features": f"{self.network.name}{at}, weights {self.network.fingerprint()}",
            "names": measure_names(settings),
            LEFT_OUT: {},
        }

    def add(self, section: str, what: str, measure: Callable[[], Mapping[str, Any]]) -> None:
        """Put what a call gives into a section; where the data do not allow it, the reason, under ``section: what``."""
        try:
            values = measure()
        except NotMeasurableError as error:
            self._leave_out(f"{section}: {what}", str(error))
            return
        self.measures.setdefault(section, {}).update(values)

    def add_reconstruction(self, section: str, tokenizer: Any) -> None:
        """What :func:`vistok.metrics.evaluate_tokenizer` measures of the validation images' reconstructions.

        PSNR, SSIM, absolute error and perceptual distance (means over images); the Frechet distance to the originals
        and its deviation; of discrete codes the use of codebooks and bits, in the section ``codes``.

        Args:
            section: Their name.
            tokenizer: Anything that function takes.
        """
        resampling = Resampling(self.seed, self.settings.resamples)
        measurement = Measurement(self.network, resampling=resampling)
        if isinstance(self.network, BackboneFeatures):
            pairs = PairFeatures(self.network)
            measurement = Measurement(pairs, {"perceptual_distance": pairs.distance}, resampling=resampling)
        images: Any = self.validation
        found = evaluate_tokenizer(tokenizer, images, measurement, batch_size=self._at_a_time, seed=self.seed)
        for name, values in found.measures.items():
            kept = {key: value for key, value in values.items() if key != "frechet_distance_margin_of_error"}
            self.measures.setdefault(section if name == "reconstruction" else name, {}).update(kept)
        for what, reason in found.left_out.items():
            self._leave_out(f"{section}: {what.partition(': ')[2]}", reason)
        self.measures["choices"] = {key: value for key, value in found.choices.items() if key not in _OWN}

    def add_mean_image(self) -> None:
        """PSNR of the mean training image as the reconstruction of every held-out one: what no tokens reach."""
        order = drawn_images(self.train, _MEAN_OF, self.seed)
        total: Any = sum(self.train.batch(part).double().sum(dim=0) for part in order.split(self._at_a_time))
        mean = (total / len(order)).float()

        def measured() -> dict[str, float]:
            parts = []
            for indices in torch.arange(len(self.validation)).split(self._at_a_time):
                originals = self.validation.batch(indices)
                parts.append(psnr(mean.expand_as(originals), originals))
            return {"psnr": torch.cat(parts).mean().item()}

        self.add("mean image", "PSNR", measured)

    def add_generation(self, samples: Mapping[str, Path]) -> None:
        """The measures of each set of samples, ``samples <label>``, after those of ``real images`` that bound them.

        All are compared with training images, and the real images are held out; or, where the settings say so, with
        held-out images, and the real ones are as many training images. Where the settings name a file of statistics,
        Frechet distances are to those. The recognizer is fitted on training images.

        Args:
            samples: The file of each set, by its label, as :func:`vistok.workbench.evaluation.sampling.sample_files`
                finds them; one at a time is held.

        Raises:
            ConfigError: The file of statistics is none, or they are of another number of features.
        """
        if not samples:
            return
        largest = max(len(map_tensors(file)["labels"]) for file in samples.values())
        held_out, training = (self.validation, "held-out"), (self.train, "training")
        of, floor = (training, held_out) if self.settings.reference == "training" else (held_out, training)
        self.reference = self._side(of[0], self.settings.reference_images)
        self._factor = cache(self._reference_factor)
        self._neighbourhoods = cache(partial(real_neighbourhoods, self.reference.features))
        self.measures["reference"] = {"of": of[1], "count": len(self.reference.labels), "real images": floor[1]}
        if self.settings.reference_statistics is not None:
            self.measures["reference"]["statistics"] = Path(self.settings.reference_statistics).name
        real = self._side(floor[0], largest)
        self._add_likeness("real images", real, certain=True)
        if len(self.train.class_names) > 1:
            self.add("real images", "recognised", self._recognised)
        for kind, file in samples.items():
            drawn = load_samples(file)
            self.add_likeness(f"samples {kind}", drawn["images"], drawn["labels"], certain=True)

    def add_likeness(self, section: str, images: Tensor, labels: Tensor, *, certain: bool = False) -> None:
        """How images lie among those of the reference, and once there is a recognizer, what it recognises.

        Args:
            section: Their name.
            images: ``(M, C, H, W)``, uint8 or in ``[-1, 1]``.
            labels: The classes that they are to show, ``(M,)``.
            certain: Whether the distance's value at infinity and its deviation stand beside it.
        """
        self._add_likeness(section, self._seen(images, labels), certain=certain)
        if self.recognizer is not None:
            recognizer = self.recognizer
            self.add(section, "recognised", lambda: {"recognised": recognizer.accuracy(images, labels)})

    def _add_likeness(self, section: str, side: Side, *, certain: bool) -> None:
        features = side.features
        self.measures[section] = {"count": float(len(features))}
        self.add(section, "frechet_distance", lambda: {"frechet_distance": frechet_distance(features, self._factor())})
        if certain:
            self.add(section, "frechet_distance_at_infinity", partial(self._infinity, features))
            self.add(section, "frechet_distance_deviation", partial(self._deviation, features))
        self.add(section, "neighbours", lambda: _neighbours(self._neighbourhoods(), features))
        if side.probabilities is not None:
            score = partial(inception_score, side.probabilities, seed=self.seed)
            self.add(section, "Inception Score", lambda: {"inception_score": score().mean})
        sides = self.reference.features, self.reference.labels, features, side.labels
        self.add(section, "diversity", lambda: {"diversity": relative_diversity(*sides)})

    def _reference_factor(self) -> GaussianFactor:
        path, features = self.settings.reference_statistics, self.reference.features
        if path is None:
            return gaussian_factor(features, "reference")
        try:
            factor = gaussian_factor(read_reference_statistics(path).features, path)
        except (ValueError, OSError) as error:
            raise ConfigError(f"reference_statistics: {error}") from None
        if len(factor.mean) != features.shape[1]:
            wanted = f"statistics of {features.shape[1]} features, as {self.network.name} gives"
            raise ConfigError(f"reference_statistics: expected {wanted}, got {len(factor.mean)} in {path}")
        return factor

    def _infinity(self, features: Tensor) -> dict[str, float]:
        line = frechet_distance_infinity(features, self._factor(), generator=self._draws())
        return {"frechet_distance_at_infinity": line.value}

    def _deviation(self, features: Tensor) -> dict[str, float]:
        if not self.settings.resamples:
            return {}
        options: dict[str, Any] = {"generator": self._draws(), "resamples": self.settings.resamples}
        interval = bootstrap_interval(lambda some: frechet_distance(some, self._factor()), features, **options)
        return {"frechet_distance_deviation": interval.deviation}

    def _recognised(self) -> dict[str, float]:
        """Fit the recognizer of the samples, and what it makes of held-out images."""
        held_out = some_images(self.validation, MOST, self.seed)
        self.recognizer = recognizer_of(self.train, self.seed)
        parts = held_out.split(self._at_a_time)
        seen = torch.cat([self.recognizer.predict(self.validation.pixels(part)) for part in parts])
        right = seen == self.validation.labels[held_out]
        return {"recognised": right.double().mean().item(), "chance": 1 / len(self.train.class_names)}

    def _side(self, images: Images, count: int) -> Side:
        """Features of at most so many images of a set."""
        chosen = some_images(images, count, self.seed)
        parts = [self._seen(images.batch(part), images.labels[part]) for part in chosen.split(1000)]
        probabilities = [part.probabilities for part in parts if part.probabilities is not None]
        features, labels = (torch.cat([part[field] for part in parts]) for field in (0, 1))  # type: ignore[misc]
        return Side(features, labels, torch.cat(probabilities) if probabilities else None)

    def _seen(self, images: Tensor, labels: Tensor) -> Side:
        found = network_features(self.network, images)
        return Side(found.pooled, labels, found.probabilities)

    def _draws(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def _leave_out(self, what: str, reason: str) -> None:
        logger.warning("%s is left out: %s", what, reason)
        self.measures[LEFT_OUT][what] = reason


def _neighbours(reference: RealNeighbourhoods, features: Tensor) -> dict[str, float]:
    """Precision and recall at k = 3, density and coverage at k = 5, as published."""
    near, far = neighbour_measures(reference, features).values()
    return {"precision": near.precision, "recall": near.recall, "density": far.density, "coverage": far.coverage}
