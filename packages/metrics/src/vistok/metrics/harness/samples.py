"""Evaluate generated images beside a reference: real images, or the statistics of real images."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics.distribution.feature_bank import FeatureBank
from vistok.metrics.distribution.frechet import FeatureStatistics, frechet_distance
from vistok.metrics.distribution.inception_score import InceptionScore
from vistok.metrics.distribution.kernel import kernel_distance, kernel_distance_of_subsets
from vistok.metrics.distribution.neighbours import neighbour_figures
from vistok.metrics.distribution.reference import ReferenceStatistics, read_reference_statistics
from vistok.metrics.harness.choices import of_images, of_network, versions
from vistok.metrics.harness.distances import Chance, add_distance
from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.harness.evaluation_page import write_page
from vistok.metrics.harness.streamed_pass import streamed_pass
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.networks.features import FeatureNetwork, Features
from vistok.metrics.ranks import own_rank
from vistok.metrics.streaming import StreamingMetric

SECTION = "samples"
NEIGHBOURS = (3, 5)
SUBSET = 1000
SPLITS = 10


def evaluate_samples(
    samples: str | Path | Tensor | ImageSource,
    reference: str | Path | Tensor | ImageSource | ReferenceStatistics,
    network: FeatureNetwork,
    chance: Chance | None = None,
    *,
    image_size: int | None = None,
    crop: str = "none",
    batch_size: int = 32,
    folder: str | Path | None = None,
) -> Evaluation:
    """Measure how near samples lie to a reference, how far they spread, and how sure that is.

    The Frechet distance, its value at infinitely many samples and its interval need the statistics of the reference;
    the kernel distance, precision, recall, density and coverage need its images. Inception Score and sFID are measured
    where the network gives class probabilities and spatial features.

    Args:
        samples: A folder, an ``.npz``, a uint8 tensor, or any :class:`ImageSource`.
        reference: The same of real images; or an ``.npz`` with ``mu`` and ``sigma``, or :class:`ReferenceStatistics`,
            measured with the same network and the same crop.
        network: What both are measured in.
        chance: What is drawn.
        image_size: Pixels a side that both are brought to.
        crop: How, see :func:`open_images`.
        batch_size: Images at a time.
        folder: Where results are written, and an unfinished pass is kept.

    Raises:
        ValueError: Something cannot be read, or statistics are of another number of features; in one line.

    Example:
        >>> from vistok.metrics import Features
        >>> class Mean:
        ...     name, preprocessing = "mean colour", "none"
        ...     def fingerprint(self): return "none"
        ...     def __call__(self, images): return Features(images.float().mean(dim=(2, 3)))
        >>> real = torch.arange(64, dtype=torch.uint8).view(64, 1, 1, 1)
        >>> found = evaluate_samples(real, real, Mean()).measures["samples"]
        >>> found["Frechet distance on mean colour"], found["precision_k3"]
        (0.0, 1.0)
    """
    began, chance = time.monotonic(), chance or Chance()
    drawn = open_images(samples, image_size=image_size, crop=crop)
    statistics, real = _reference(reference, image_size, crop)
    described = drawn.describe()
    choices: dict[str, Any] = {"count": len(drawn), "subject": f"samples of {described['source']}"}
    choices |= {**of_images("samples", described), **of_network(network)}
    choices |= {"reference": str(reference)} if real is None else of_images("reference", real.describe())
    choices |= {**chance._asdict(), **versions()}
    streams = _streams(network(drawn.batch(range(1))), chance, with_real=real is not None)
    place = None if folder is None else Path(folder)

    def step(indices: Sequence[int]) -> None:
        own = [index for index in indices if index < len(drawn)]
        others = [index - len(drawn) for index in indices if index >= len(drawn)]
        if own:
            _take(streams, "samples", network(drawn.batch(own)), torch.tensor(own))
        if others and real is not None:
            _take(streams, "reference", network(real.batch(others)), torch.tensor(others))

    total = len(drawn) + (0 if real is None else len(real))
    streamed_pass(total, step, streams, batch_size=batch_size, folder=place, choices=choices)
    found = Evaluation(choices)
    _fill(found, streams, statistics, network.name, chance)
    found.choices["seconds"] = round(time.monotonic() - began, 1)
    if place is not None and own_rank().number == 0:
        found.write(place)
        write_page(place, found)
    return found


def _reference(
    reference: Any, image_size: int | None, crop: str
) -> tuple[ReferenceStatistics | None, ImageSource | None]:
    """Statistics where they are given, else images."""
    if isinstance(reference, ReferenceStatistics):
        return reference, None
    if isinstance(reference, str | Path) and Path(reference).suffix == ".npz" and _holds_statistics(Path(reference)):
        return read_reference_statistics(reference), None
    return None, open_images(reference, image_size=image_size, crop=crop)


def _holds_statistics(path: Path) -> bool:
    import zipfile

    return zipfile.is_zipfile(path) and "mu.npy" in zipfile.ZipFile(path).namelist()


def _streams(sample: Features, chance: Chance, *, with_real: bool) -> dict[str, StreamingMetric]:
    """What is kept of both sides; ``sample`` is what the network gives of one image."""
    streams: dict[str, StreamingMetric] = {}
    for side in ("samples", "reference") if with_real else ("samples",):
        streams[f"{side}: features"] = FeatureBank(sample.pooled.shape[1])
        if sample.spatial is not None:
            streams[f"{side}: spatial"] = FeatureStatistics(sample.spatial.shape[1])
    if sample.probabilities is not None:
        classes = sample.probabilities.shape[1]
        streams["samples: score"] = InceptionScore(classes, splits=SPLITS, seed=chance.seed)
    return streams


def _take(streams: Mapping[str, Any], side: str, seen: Features, indices: Tensor) -> None:
    streams[f"{side}: features"].update(seen.pooled, indices)
    if seen.spatial is not None:
        streams[f"{side}: spatial"].update(seen.spatial)
    if f"{side}: score" in streams:
        streams[f"{side}: score"].update(seen.probabilities, indices)


def _fill(
    found: Evaluation, streams: Mapping[str, Any], statistics: ReferenceStatistics | None, network: str, chance: Chance
) -> None:
    """All numbers that the streams and the reference allow."""
    samples = streams["samples: features"].compute()
    real: Any = statistics.features if statistics is not None else streams["reference: features"].compute()
    spatial: Any = statistics.spatial if statistics is not None else streams.get("reference: spatial")
    add = partial(found.add, SECTION)
    add_distance(found, SECTION, network, (samples, real), samples, chance)
    if "samples: score" in streams:
        add("Inception Score", partial(_score, streams["samples: score"], network))
    if "samples: spatial" in streams and spatial is not None:
        add("spatial Frechet distance", partial(_spatial, streams["samples: spatial"], spatial, network))
    if statistics is None:
        add("kernel distance", partial(_kernel, samples, real, network, chance))
        add("neighbours", partial(_neighbours, samples, real))


def _score(score: InceptionScore, network: str) -> dict[str, float]:
    found = score.compute()
    return {f"Inception Score on {network}": found.mean, f"Inception Score on {network}, deviation": found.deviation}


def _spatial(samples: Any, real: Any, network: str) -> dict[str, float]:
    return {f"spatial Frechet distance on {network}": frechet_distance(samples, real)}


def _kernel(samples: Tensor, real: Tensor, network: str, chance: Chance) -> dict[str, float]:
    """As published (100 subsets of 1,000) where there are so many images, else of all of them."""
    name = f"kernel distance on {network}"
    if min(len(samples), len(real)) < SUBSET:
        return {f"{name}, all images": kernel_distance(samples, real)}
    found = kernel_distance_of_subsets(samples, real, generator=chance.generator(), subset_size=SUBSET)
    return {name: found.mean, f"{name}, deviation": found.deviation}


def _neighbours(samples: Tensor, real: Tensor) -> dict[str, float]:
    found = neighbour_figures(real, samples, k=NEIGHBOURS)
    return {f"{name}_k{k}": value for k, figures in found.items() for name, value in figures._asdict().items()}
