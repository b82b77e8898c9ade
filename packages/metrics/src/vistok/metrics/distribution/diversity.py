"""How far samples of a class are from one another, beside real images of it."""

import torch
from torch import Tensor

from vistok.metrics._float64 import on_float64_device
from vistok.metrics.distribution._vectors import check_sides
from vistok.metrics.not_measurable import NotMeasurableError

_DIFFERENCES = "donot_use_mm_for_euclid_dist"


def relative_diversity(
    real: Tensor, real_labels: Tensor, samples: Tensor, sample_labels: Tensor, *, block_size: int = 1024
) -> float:
    r"""How far samples of one class are from one another, relative to real images of one class.

    .. math::
        \frac{\sum_c \overline{\lVert y_i - y_j \rVert}_{i < j \in c}}{\sum_c \overline{\lVert x_i - x_j
        \rVert}_{i < j \in c}}

    over the classes ``c`` with at least two vectors on both sides. Well below 1, samples of a class repeat one another
    (recognition cannot see that: a perfect score needs one good picture a class); above 1, they scatter more than real
    images do, as noise makes them.

    Args:
        real: Features of real images.
        real_labels: Their classes.
        samples: Features of generated images.
        sample_labels: The classes that were asked for.
        block_size: Vectors compared at a time; changes memory, not the result.

    Shape:
        - real: ``(N, D)``; samples: ``(M, D)``; labels: ``(N,)`` and ``(M,)``.

    Range:
        ``[0, inf)``; 1 for equal sets, 0 when all samples of a class are equal. Unchanged by a common shift, rotation
        or scale.

    Gradient:
        None: this is a measurement.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)`` and ``(M, D)``, labels of another length, not finite, or ``block_size`` below 1.
        NotMeasurableError: No class has two vectors on both sides, or real images of a class are all equal.

    Example:
        >>> labels = torch.zeros(2, dtype=torch.int64)
        >>> relative_diversity(torch.tensor([[0.0], [4.0]]), labels, torch.tensor([[1.0], [2.0]]), labels)
        0.25
    """
    check_sides(real, samples, 1, 1, block_size)
    x, y = on_float64_device(real.detach()), on_float64_device(samples.detach())
    centre = x.double().mean(dim=0)
    for name, side, labels in (("real", x, real_labels), ("sample", y, sample_labels)):
        if labels.shape != side.shape[:1]:
            raise ValueError(f"{name} labels must be ({len(side)},), got {tuple(labels.shape)}")
    real_labels, sample_labels = real_labels.to(x.device), sample_labels.to(y.device)
    of_real, of_samples, classes = 0.0, 0.0, 0
    for label in real_labels.unique():
        sides = x[real_labels == label], y[sample_labels == label]
        if min(map(len, sides)) >= 2:
            of_real += _mean_distance(sides[0].double() - centre, block_size)
            of_samples += _mean_distance(sides[1].double() - centre, block_size)
            classes += 1
    if not classes:
        raise NotMeasurableError("diversity needs a class with at least 2 real images and 2 samples, got none")
    if of_real == 0:
        raise NotMeasurableError("diversity needs real images that differ within a class, got equal ones")
    return of_samples / of_real


def _mean_distance(vectors: Tensor, block_size: int) -> float:
    """Mean distance over all pairs of different vectors, from differences: equal vectors are at exactly 0."""
    total = sum(
        float(torch.cdist(part, vectors, compute_mode=_DIFFERENCES).sum()) for part in vectors.split(block_size)
    )
    return total / (len(vectors) * (len(vectors) - 1))
