"""Evaluate generated images beside a reference: real images, or the statistics of real images."""

import time
import zipfile
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
from vistok.metrics.distribution.neighbours import neighbour_measures
from vistok.metrics.distribution.reference import ReferenceStatistics, read_reference_statistics
from vistok.metrics.harness.choices import of_images, of_network, of_statistics, versions
from vistok.metrics.harness.distances import Resampling, add_distance
from vistok.metrics.harness.evaluation import Evaluation, ready_folder
from vistok.metrics.harness.evaluation_page import write_page
from vistok.metrics.harness.streamed_pass import forget_pass, streamed_pass
from vistok.metrics.images.pairs import check_one_size
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.networks.features import FeatureNetwork, Features
from vistok.metrics.not_measurable import NotMeasurableError
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
    resampling: Resampling | None = None,
    *,
    image_size: int | None = None,
    crop: str = "none",
    batch_size: int = 32,
    folder: str | Path | None = None,
) -> Evaluation:
    """Measure how near samples lie to a reference, how far they spread, and how sure that is.

    The Frechet distance, its value at infinitely many samples and its margin of error need the statistics of the
    reference; the kernel distance, precision, recall, density and coverage need images of it. Inception Score and sFID
    are measured where the network gives class probabilities and spatial features. What is missing is in ``left_out``
    with its reason. Memory grows with the number of images up to ``resampling.kept`` of a side.

    Args:
        samples: A folder, an ``.npz``, a uint8 tensor, or any :class:`ImageSource`.
        reference: The same of real images; or an ``.npz`` with ``mu`` and ``sigma`` (and images ``arr_0``, as ADM's
            have), or :class:`ReferenceStatistics`, measured with the same network and the same crop.
        network: What both are measured in.
        resampling: What is drawn, and how many images are kept.
        image_size: Pixels a side that both are brought to.
        crop: How, see :func:`open_images`.
        batch_size: Images at a time.
        folder: Where results are written, and an unfinished pass is kept.

    Raises:
        ValueError: Something cannot be read, samples and images of the reference differ in size or channels, or
            statistics are of another number of features; in one line, before the pass.
        OSError: The folder cannot be written to.

    Example:
        >>> from vistok.metrics import Features
        >>> class Mean:
        ...     name, preprocessing = "mean colour", "none"
        ...     def fingerprint(self): return "none"
        ...     def __call__(self, images): return Features(images.float().mean(dim=(2, 3)))
        >>> real = torch.arange(64, dtype=torch.uint8).view(64, 1, 1, 1)
        >>> found = evaluate_samples(real, real, Mean()).measures["samples"]
        >>> found["frechet_distance"], found["precision_k3"]
        (0.0, 1.0)
    """
    resampling = resampling or Resampling()
    began, place = time.monotonic(), ready_folder(folder)
    drawn = open_images(samples, image_size=image_size, crop=crop)
    statistics, real = _reference(reference, image_size, crop)
    if real is not None:
        check_one_size("samples and reference", drawn, real)
    described = drawn.describe()
    choices: dict[str, Any] = {"count": len(drawn), "subject": f"samples of {described['source']}"}
    choices |= {"batch size": batch_size, **of_images("samples", described)}
    first = network(drawn.batch(range(1)))
    if real is not None:
        choices |= of_images("reference", real.describe())
    if statistics is not None:
        choices |= of_statistics(statistics, "given" if isinstance(reference, tuple) else Path(str(reference)).name)
        _check_network(statistics, choices["reference: source"], network, first)
    choices |= {**of_network(network), **resampling.choices(), **versions()}
    streams = _streams(first, resampling, real is not None)

    def step(indices: Sequence[int]) -> None:
        own = [index for index in indices if index < len(drawn)]
        others = [index - len(drawn) for index in indices if index >= len(drawn)]
        if own:
            _take(streams, "samples", network(drawn.batch(own)), torch.tensor(own))
        if others and real is not None:
            _take(streams, "reference", network(real.batch(others)), torch.tensor(others))

    total = len(drawn) + (0 if real is None else len(real))
    earlier = streamed_pass(total, step, streams, batch_size=batch_size, folder=place, choices=choices)
    found = Evaluation(choices)
    _fill(found, streams, statistics, resampling)
    found.choices["seconds"] = round(earlier + time.monotonic() - began, 1)
    if place is not None and own_rank().number == 0:
        write_page(place, found)
        found.write(place)
        forget_pass(place)
    return found


def _reference(
    reference: Any, image_size: int | None, crop: str
) -> tuple[ReferenceStatistics | None, ImageSource | None]:
    """Statistics where they are given, images where there are any: ADM's archives hold both."""
    if isinstance(reference, ReferenceStatistics):
        images = reference.images
        return reference, None if images is None else open_images(images, image_size=image_size, crop=crop)
    held = _arrays(reference)
    statistics = read_reference_statistics(reference) if "mu.npy" in held else None
    if statistics is not None and "arr_0.npy" not in held:
        return statistics, None
    return statistics, open_images(reference, image_size=image_size, crop=crop)


def _check_network(statistics: ReferenceStatistics, source: str, network: FeatureNetwork, seen: Features) -> None:
    """Raise ``ValueError`` unless statistics are of as many features as the network gives of one image."""
    for what, given, own in (
        ("features", statistics.features, seen.pooled),
        ("spatial features", statistics.spatial, seen.spatial),
    ):
        if given is not None and own is not None and len(given.mean) != own.shape[1]:
            expected = f"expected {own.shape[1]:,} {what}, as {network.name} gives"
            raise ValueError(f"reference, {source}: {expected}, got {len(given.mean):,}")


def _arrays(reference: Any) -> list[str]:
    """Names in an ``.npz``; none of anything else."""
    if not isinstance(reference, str | Path) or not zipfile.is_zipfile(reference):
        return []
    with zipfile.ZipFile(reference) as archive:
        return archive.namelist()


def _streams(sample: Features, resampling: Resampling, with_real: bool) -> dict[str, StreamingMetric]:
    """What is kept of both sides; ``sample`` is what the network gives of one image."""
    streams: dict[str, StreamingMetric] = {}
    dim = sample.pooled.shape[1]
    for side in ("samples", "reference") if with_real else ("samples",):
        streams[f"{side}: features"] = FeatureStatistics(dim)
        streams[f"{side}: kept"] = FeatureBank(dim, capacity=resampling.kept, seed=resampling.seed)
        if sample.spatial is not None:
            streams[f"{side}: spatial"] = FeatureStatistics(sample.spatial.shape[1])
    if sample.probabilities is not None:
        classes = sample.probabilities.shape[1]
        streams["samples: score"] = InceptionScore(classes, splits=SPLITS, seed=resampling.seed)
    return streams


def _take(streams: Mapping[str, Any], side: str, seen: Features, indices: Tensor) -> None:
    streams[f"{side}: features"].update(seen.pooled)
    streams[f"{side}: kept"].update(seen.pooled, indices)
    if seen.spatial is not None:
        streams[f"{side}: spatial"].update(seen.spatial)
    if f"{side}: score" in streams:
        streams[f"{side}: score"].update(seen.probabilities, indices)


def _fill(
    found: Evaluation, streams: Mapping[str, Any], statistics: ReferenceStatistics | None, resampling: Resampling
) -> None:
    """All numbers that the streams and the reference allow."""
    samples = streams["samples: kept"].compute()
    features = streams["samples: features"], statistics.features if statistics else streams["reference: features"]
    spatial = streams.get("samples: spatial"), statistics.spatial if statistics else streams.get("reference: spatial")
    add_distance(found, SECTION, features, samples, resampling)
    add = partial(found.add, SECTION)
    add("spatial_frechet_distance", partial(_spatial, *spatial))
    add("inception_score", partial(_score, streams.get("samples: score")))
    real = streams["reference: kept"].compute() if "reference: kept" in streams else None
    add("kernel_distance", partial(_kernel, samples, real, resampling))
    add("precision, recall, density, coverage", partial(_neighbours, samples, real))


def _score(score: InceptionScore | None) -> dict[str, float]:
    if score is None:
        raise NotMeasurableError("the network gives no probabilities of classes")
    found = score.compute()
    return {"inception_score": found.mean, "inception_score_deviation": found.deviation}


def _spatial(samples: Any, real: Any) -> dict[str, float]:
    if samples is None or real is None:
        raise NotMeasurableError(f"the {'network' if samples is None else 'reference'} has no spatial features")
    return {"spatial_frechet_distance": frechet_distance(samples, real)}


def _kernel(samples: Tensor, real: Tensor | None, resampling: Resampling) -> dict[str, float]:
    """As published (100 subsets of 1,000) where there are so many images, else of all of them."""
    real = _needed(real)
    if min(len(samples), len(real)) < SUBSET:
        return {"kernel_distance_of_all_images": kernel_distance(samples, real)}
    found = kernel_distance_of_subsets(samples, real, generator=resampling.generator(), subset_size=SUBSET)
    return {"kernel_distance": found.mean, "kernel_distance_deviation": found.deviation}


def _neighbours(samples: Tensor, real: Tensor | None) -> dict[str, float]:
    found = neighbour_measures(_needed(real), samples, k=NEIGHBOURS)
    return {f"{name}_k{k}": value for k, measures in found.items() for name, value in measures._asdict().items()}


def _needed(real: Tensor | None) -> Tensor:
    if real is None:
        raise NotMeasurableError("images of the reference are needed, its statistics are not enough")
    return real
