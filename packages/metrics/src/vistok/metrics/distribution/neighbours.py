"""Whether samples lie where real images lie, and wherever they lie: four measures of nearest neighbours."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics._float64 import on_float64_device
from vistok.metrics.distribution._vectors import centre_and_spread, check_sides, tiles

# Squared distances that differ by less than this share of the real features' mean squared radius count as equal.
_ROUNDING = 1e-9


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


class NeighbourMeasures(NamedTuple):
    """The four measures of one ``k``.

    Attributes:
        precision: Share of samples that lie among real images.
        recall: Share of real images that lie among samples.
        density: How many neighbourhoods of real images a sample lies in, over the expected number.
        coverage: Share of them that hold a sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class RealNeighbourhoods(NamedTuple):
    """The neighbourhoods of real images, which :func:`neighbour_measures` of several sets of samples share.

    Attributes:
        features: ``(N, D)``.
        k: Which neighbours' distances are radii.
        radii: Their squares, ``(len(k), N)`` float64.
        centre: Where distances are taken from, ``(D,)`` float64.
        rounding: By how much squared distances may differ and count as equal.
    """

    features: Tensor
    k: tuple[int, ...]
    radii: Tensor
    centre: Tensor
    rounding: float


def precision_recall(real: Tensor, samples: Tensor, *, k: int = 3, block_size: int = 1024) -> PrecisionRecall:
    r"""Improved precision and recall of samples against real images.

    With :math:`r_k(v)` the distance of a vector to the k-th nearest other one of its own set,

    .. math::
        \mathrm{precision} = \frac1M \sum_j \max_i [\lVert y_j - x_i \rVert \le r_k(x_i)], \qquad
        \mathrm{recall} = \frac1N \sum_i \max_j [\lVert x_i - y_j \rVert \le r_k(y_j)]

    for real features ``x`` and samples ``y``. One odd vector with a wide neighbourhood raises them; density and
    coverage (:func:`density_coverage`) feel it less. Compare only equal counts, and with the measures of real images.

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
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: A side holds ``k`` vectors or fewer.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> precision_recall(real, torch.tensor([[0.5], [0.6]]), k=1)
        PrecisionRecall(precision=1.0, recall=0.0)
    """
    found = neighbour_measures(real, samples, k=(k,), block_size=block_size)[k]
    return PrecisionRecall(found.precision, found.recall)


def density_coverage(real: Tensor, samples: Tensor, *, k: int = 5, block_size: int = 1024) -> DensityCoverage:
    r"""Density and coverage of samples against real images: only real images have neighbourhoods.

    .. math::
        \mathrm{density} = \frac1{k M} \sum_j \sum_i [\lVert y_j - x_i \rVert \le r_k(x_i)], \qquad
        \mathrm{coverage} = \frac1N \sum_i \max_j [\lVert y_j - x_i \rVert \le r_k(x_i)]

    with real features ``x``, samples ``y`` and :math:`r_k(x_i)` the distance of ``x_i`` to the k-th nearest other real
    one. Independent draws of one distribution have an expected density of 1, and a coverage near
    :math:`1 - 2^{-k}` when both sides are equally many. A sample on the edge of a neighbourhood lies in it, as in the
    paper's equations; its code (prdc) takes those inside alone, so that density of equal sets is 1 there and ``(k + 1)
    / k`` here.

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
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: There are ``k`` real vectors or fewer, or no sample.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> density_coverage(real, torch.tensor([[0.5], [0.6]]), k=1)
        DensityCoverage(density=2.0, coverage=0.5)
    """
    (found,) = _measured(real_neighbourhoods(real, k=(k,), block_size=block_size), samples, block_size, recall=False)
    return DensityCoverage(found.density, found.coverage)


def real_neighbourhoods(real: Tensor, *, k: Sequence[int] = (3, 5), block_size: int = 1024) -> RealNeighbourhoods:
    """The distance of each real image to its k-th nearest other one, once for many sets of samples.

    Args:
        real: Features ``(N, D)``, of any float dtype and on any device.
        k: Which neighbours' distances are radii.
        block_size: Vectors compared at a time; changes memory, not the result.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)``, not finite, no ``k``, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: There are as many vectors as the largest ``k`` or fewer.

    Example:
        >>> real_neighbourhoods(torch.tensor([[0.0], [1.0], [3.0]]), k=[1]).radii.round(decimals=6).tolist()
        [[1.0, 1.0, 4.0]]
    """
    ks = tuple(k)
    if not ks or min(ks) < 1:
        raise ValueError(f"k must be at least 1, got {', '.join(map(str, ks)) or 'none'}")
    check_sides(real, real, max(ks) + 1, max(ks) + 1, block_size)
    x = on_float64_device(real.detach())
    centre, spread = centre_and_spread(x, block_size)
    rounding = _ROUNDING * spread
    return RealNeighbourhoods(x, ks, _radii(x, ks, centre, block_size) + rounding, centre, rounding)


def neighbour_measures(
    real: Tensor | RealNeighbourhoods, samples: Tensor, *, k: Sequence[int] = (3, 5), block_size: int = 1024
) -> dict[int, NeighbourMeasures]:
    """Precision, recall, density and coverage for several ``k`` at once: each distance is computed once.

    As :func:`precision_recall` and :func:`density_coverage`, which are published with ``k`` 3 and 5.

    Args:
        real: Features ``(N, D)`` of real images, of any float dtype and on any device; or their neighbourhoods, of
            :func:`real_neighbourhoods`, with their ``k``.
        samples: Features ``(M, D)`` of generated images.
        k: Which neighbours' distances are radii, where ``real`` are features.
        block_size: Vectors of each side compared at a time; changes memory, not the result.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, no ``k``, or ``k`` or ``block_size`` below 1.
        NotMeasurableError: A side holds as many vectors as the largest ``k`` or fewer.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
        >>> neighbour_measures(real, torch.tensor([[0.5], [0.6]]), k=[1])[1]
        NeighbourMeasures(precision=1.0, recall=0.0, density=2.0, coverage=0.5)
    """
    if not isinstance(real, RealNeighbourhoods):
        real = real_neighbourhoods(real, k=k, block_size=block_size)
    found = _measured(real, samples, block_size, recall=True)
    return dict(zip(real.k, found, strict=True))


def _measured(real: RealNeighbourhoods, y: Tensor, block_size: int, *, recall: bool) -> list[NeighbourMeasures]:
    """The measures of each ``k``; without ``recall`` samples have no neighbourhoods, and it is 0."""
    x, ks, centre = real.features, real.k, real.centre
    check_sides(x, y, max(ks) + 1, max(ks) + 1 if recall else 1, block_size)
    y = on_float64_device(y.detach())
    sample_radii = _radii(y, ks, centre, block_size) + real.rounding if recall else None
    among_real, among_samples, covered = (
        torch.zeros(len(ks), count, dtype=torch.bool, device=x.device) for count in (len(y), len(x), len(x))
    )
    hits = [0] * len(ks)
    for rows, columns, squares in tiles(x, y, centre, block_size):
        for which in range(len(ks)):
            inside = squares <= real.radii[which, rows, None]
            hits[which] += int(inside.sum())
            among_real[which, columns] |= inside.any(dim=0)
            covered[which, rows] |= inside.any(dim=1)
            if sample_radii is not None:
                among_samples[which, rows] |= (squares <= sample_radii[which, columns]).any(dim=1)
    shares = (part.double().mean(dim=1).tolist() for part in (among_real, among_samples, covered))
    return [
        NeighbourMeasures(precision, recalled, count / (k * len(y)), coverage)
        for k, count, precision, recalled, coverage in zip(ks, hits, *shares, strict=True)
    ]


def _radii(vectors: Tensor, ks: tuple[int, ...], centre: Tensor, block_size: int) -> Tensor:
    """Squared distance of each vector to its k-th nearest other one, ``(len(ks), N)``."""
    nearest = torch.full((len(vectors), max(ks)), torch.inf, dtype=torch.float64, device=vectors.device)
    for rows, columns, squares in tiles(vectors, vectors, centre, block_size):
        if rows == columns:
            squares.fill_diagonal_(torch.inf)
        nearest[rows] = torch.cat([nearest[rows], squares], dim=1).topk(max(ks), largest=False).values
    return nearest.sort(dim=1).values.T[[k - 1 for k in ks]]
