"""Whether samples lie where real images lie, and wherever they lie: four figures of nearest neighbours, and spread."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError

# Squared distances that differ by less than this share of the real features' mean squared radius count as equal.
_ROUNDING = 1e-9
_DIFFERENCES = "donot_use_mm_for_euclid_dist"


class PrecisionRecall(NamedTuple):
    """Of samples and real images.

    Attributes:
        precision: Share of samples that lie among real images.
        recall: Share of real images that lie among samples.
    """

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Of samples and the neighbourhoods of real images.

    Attributes:
        density: How many of them a sample lies in, over the expected number.
        coverage: Share of them that hold a sample.
    """

    density: float
    coverage: float


def precision_recall(real: Tensor, samples: Tensor, *, k: int = 3, block_size: int = 1024) -> PrecisionRecall:
    r"""Improved precision and recall of samples against real images.

    With :math:`r_k(v)` the distance of a vector to the k-th nearest other one of its own set,

    .. math::
        \mathrm{precision} = \frac1M \sum_j \max_i [\lVert y_j - x_i \rVert \le r_k(x_i)], \qquad
        \mathrm{recall} = \frac1N \sum_i \max_j [\lVert x_i - y_j \rVert \le r_k(y_j)]

    for real features ``x`` and samples ``y``. One odd vector with a wide neighbourhood raises them; density and
    coverage (:func:`density_coverage`) feel it less. Compare only equal counts, and with the figures of real images.

    Source:
        Kynkäänniemi et al. 2019, arXiv:1904.06991, Eqs. 1 and 2, with its k = 3.

    Args:
        real: Features of real images.
        samples: Features of generated images.
        k: Which neighbour's distance is a neighbourhood's radius.
        block_size: Vectors compared at a time; changes memory, not the result.

    Shape:
        - real: ``(N, D)``; samples: ``(M, D)``; both with more than ``k`` vectors.

    Range:
        Both in ``[0, 1]``; 1 for equal sets. Swapping the sets swaps the two. Unchanged by the order of the vectors and
        by a common shift, rotation or scale.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: A side holds ``k`` vectors or fewer.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> precision_recall(real, torch.tensor([[0.5], [0.6]]), k=1)
        PrecisionRecall(precision=1.0, recall=0.0)
    """
    x, y, slack = _checked(real, samples, k, block_size)
    real_radii, sample_radii = (_radii(side, k, block_size) + slack for side in (x, y))
    among_real = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    among_samples = 0
    for rows, squares in _blocks(x, y, block_size):
        among_real |= (squares <= real_radii[rows, None]).any(dim=0)
        among_samples += int((squares <= sample_radii).any(dim=1).sum())
    return PrecisionRecall(among_real.double().mean().item(), among_samples / len(x))


def density_coverage(real: Tensor, samples: Tensor, *, k: int = 5, block_size: int = 1024) -> DensityCoverage:
    r"""Density and coverage of samples against real images: only real images have neighbourhoods.

    .. math::
        \mathrm{density} = \frac1{k M} \sum_j \sum_i [\lVert y_j - x_i \rVert \le r_k(x_i)], \qquad
        \mathrm{coverage} = \frac1N \sum_i \max_j [\lVert y_j - x_i \rVert \le r_k(x_i)]

    with real features ``x``, samples ``y`` and :math:`r_k(x_i)` the distance of ``x_i`` to the k-th nearest other real
    one. Independent draws of one distribution have an expected density of 1, and a coverage near
    :math:`1 - 2^{-k}` when both sides are equally many.

    Source:
        Naeem et al. 2020, arXiv:2002.09797, with its k = 5.

    Args:
        real: Features of real images.
        samples: Features of generated images.
        k: Which neighbour's distance is a neighbourhood's radius.
        block_size: Vectors compared at a time; changes memory, not the result.

    Shape:
        - real: ``(N, D)`` with more than ``k`` vectors; samples: ``(M, D)``, at least one.

    Range:
        ``density`` in ``[0, N / k]``, ``coverage`` in ``[0, 1]``; coverage is 1 for equal sets. Unchanged by the order
        of the vectors and by a common shift, rotation or scale.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: There are ``k`` real vectors or fewer, or no sample.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> density_coverage(real, torch.tensor([[0.5], [0.6]]), k=1)
        DensityCoverage(density=2.0, coverage=0.5)
    """
    x, y, slack = _checked(real, samples, k, block_size, samples_need=1)
    radii = _radii(x, k, block_size) + slack
    hits, covered = 0, 0
    for rows, squares in _blocks(x, y, block_size):
        inside = squares <= radii[rows, None]
        hits += int(inside.sum())
        covered += int(inside.any(dim=1).sum())
    return DensityCoverage(hits / (k * len(y)), covered / len(x))


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
        ValueError: Not ``(N, D)`` and ``(M, D)``, labels of another length, not finite, or ``block_size`` below 1.
        NotMeasurableError: No class has two vectors on both sides, or real images of a class are all equal.

    Example:
        >>> labels = torch.zeros(2, dtype=torch.int64)
        >>> relative_diversity(torch.tensor([[0.0], [4.0]]), labels, torch.tensor([[1.0], [2.0]]), labels)
        0.25
    """
    x, y, _ = _checked(real, samples, 1, block_size, real_need=1, samples_need=1)
    for name, side, labels in (("real", x, real_labels), ("sample", y, sample_labels)):
        if labels.shape != side.shape[:1]:
            raise ValueError(f"{name} labels must be ({len(side)},), got {tuple(labels.shape)}")
    real_labels, sample_labels = real_labels.to(x.device), sample_labels.to(y.device)
    of_real, of_samples, classes = 0.0, 0.0, 0
    for label in real_labels.unique():
        sides = x[real_labels == label], y[sample_labels == label]
        if min(map(len, sides)) >= 2:
            of_real += _mean_distance(sides[0], block_size)
            of_samples += _mean_distance(sides[1], block_size)
            classes += 1
    if not classes:
        raise NotMeasurableError("diversity needs a class with at least 2 real images and 2 samples, got none")
    if of_real == 0:
        raise NotMeasurableError("diversity needs real images that differ within a class, got equal ones")
    return of_samples / of_real


def _checked(
    real: Tensor,
    samples: Tensor,
    k: int,
    block_size: int,
    *,
    real_need: int | None = None,
    samples_need: int | None = None,
) -> tuple[Tensor, Tensor, float]:
    """Both sides in float64 around the real mean, and the squared distance that is rounding."""
    if k < 1 or block_size < 1:
        raise ValueError(f"k and block_size must be at least 1, got {k} and {block_size}")
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1]:
        shapes = f"{tuple(real.shape)} and {tuple(samples.shape)}"
        raise ValueError(f"real and samples must be (N, D) and (M, D), got {shapes}")
    sides = []
    for name, side, need in (("real", real, real_need), ("samples", samples, samples_need)):
        need = k + 1 if need is None else need
        if len(side) < need:
            raise NotMeasurableError(f"{name} must hold at least {need} feature vectors, got {len(side)}")
        if not bool(torch.isfinite(side).all()):
            raise ValueError(f"{name} must be finite")
        sides.append(side.detach().double())
    centre = sides[0].mean(dim=0)
    x, y = (side - centre for side in sides)
    return x, y, _ROUNDING * float(x.square().sum(dim=1).mean())


def _blocks(x: Tensor, y: Tensor, block_size: int) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of some ``x`` to all ``y``, and which ``x`` they are."""
    lengths = y.square().sum(dim=1)
    for start in range(0, len(x), block_size):
        part = x[start : start + block_size]
        squares = part.square().sum(dim=1)[:, None] + lengths - 2 * part @ y.T
        yield slice(start, start + len(part)), squares.clamp(min=0.0)


def _radii(vectors: Tensor, k: int, block_size: int) -> Tensor:
    """Squared distance of each vector to its k-th nearest other one."""
    radii = []
    for rows, squares in _blocks(vectors, vectors, block_size):
        own = torch.arange(rows.start, rows.stop, device=vectors.device)
        squares[own - rows.start, own] = torch.inf
        radii.append(squares.kthvalue(k, dim=1).values)
    return torch.cat(radii)


def _mean_distance(vectors: Tensor, block_size: int) -> float:
    """Mean distance over all pairs of different vectors, from differences: equal vectors are at exactly 0."""
    total = sum(
        float(torch.cdist(part, vectors, compute_mode=_DIFFERENCES).sum()) for part in vectors.split(block_size)
    )
    return total / (len(vectors) * (len(vectors) - 1))
