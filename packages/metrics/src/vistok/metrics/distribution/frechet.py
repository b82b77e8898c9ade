"""Frechet distance between two sets of features."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics._tensors import check_tensor
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.streaming import StreamingMetric


class GaussianStatistics(NamedTuple):
    """What a Frechet distance needs of a set of features.

    Attributes:
        mean: ``(D,)``, float64.
        covariance: ``(D, D)``, float64, unbiased.
    """

    mean: Tensor
    covariance: Tensor


class FeatureStatistics(StreamingMetric):
    r"""Mean and covariance of a stream of features, in float64, merged batch by batch.

    .. math::
        m = \frac{1}{n} \sum_i f_i, \qquad \Sigma = \frac{1}{n - 1} \sum_i (f_i - m)(f_i - m)^\top

    Source:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", the pairwise merge.

    Args:
        dim: Number of features ``D``.

    Shape:
        - update: ``(N, D)``, any float dtype.
        - compute: mean ``(D,)`` and covariance ``(D, D)``, both float64.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Features are not ``(N, D)`` or not finite.
        NotMeasurableError: The covariance of fewer than 2 vectors.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> statistics = FeatureStatistics(1)
        >>> statistics.update(torch.tensor([[1.0], [3.0]]))
        >>> statistics.count, statistics.mean.item(), statistics.covariance.item()
        (2, 2.0, 2.0)
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {
            "count": torch.zeros((), dtype=torch.int64),
            "mean": torch.zeros(self.dim, dtype=torch.float64),
            "scatter": torch.zeros(self.dim, self.dim, dtype=torch.float64),
        }

    @property
    def count(self) -> int:
        """How many vectors were seen."""
        return int(self._state["count"])

    @property
    def mean(self) -> Tensor:
        """Mean of the features."""
        return self._state["mean"].clone()

    @property
    def covariance(self) -> Tensor:
        """Unbiased sample covariance."""
        if self.count < 2:
            raise NotMeasurableError(f"a covariance needs at least 2 feature vectors, got {self.count}")
        return self._state["scatter"] / (self.count - 1)

    def update(self, features: Tensor) -> None:
        """Take in a batch of feature vectors."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features must be (N, {self.dim}), got {tuple(features.shape)}")
        if not len(features):
            return
        vectors = _finite_double(features)
        mean = vectors.mean(dim=0)
        centred = vectors - mean
        self._state["scatter"].addmm_(centred.T, centred)
        self._join(len(vectors), mean)

    def _add(self, state: Mapping[str, Tensor]) -> None:
        if int(state["count"]):
            self._state["scatter"] += state["scatter"]
            self._join(int(state["count"]), state["mean"])

    def _join(self, other: int, mean: Tensor) -> None:
        """Take in the count and the mean of vectors whose scatter was added; in place, which is what takes the time."""
        count, shift = self.count, mean - self.mean
        self._state["scatter"].addr_(shift, shift, alpha=count * other / (count + other))
        self._state["mean"] += shift * (other / (count + other))
        self._state["count"] += other

    def compute(self) -> GaussianStatistics:
        """Mean and covariance of all vectors."""
        return GaussianStatistics(self.mean, self.covariance)


class GaussianFactor(NamedTuple):
    """A side of a Frechet distance in the form that it is computed from; see :func:`gaussian_factor`.

    Attributes:
        mean: ``(D,)``, float64.
        factor: ``(R, D)``, float64, with ``R <= D`` rows: its product with itself is the covariance.
    """

    mean: Tensor
    factor: Tensor


Side = Tensor | FeatureStatistics | GaussianStatistics | GaussianFactor


def frechet_distance(first: Side, second: Side) -> float:
    r"""Frechet distance between Gaussians fitted to two sets of features, in float64.

    .. math::
        d^2 = \lVert m_1 - m_2 \rVert^2 + \operatorname{tr} \Sigma_1 + \operatorname{tr} \Sigma_2
              - 2 \operatorname{tr} (\Sigma_1 \Sigma_2)^{1/2}

    With factors ``Σ = RᵀR`` the last trace is the nuclear norm of ``R₁R₂ᵀ``, so no matrix square root is taken and
    fewer vectors than features are no special case: the centred features themselves are the factor, and the value is
    exact for the sample covariances. It is biased upwards for small samples, though, and more so the fewer there are
    (:func:`frechet_distance_infinity` estimates how much). State both counts, and compare only numbers with equal
    counts, equal feature network and equal resizing.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, Eq. 6 (there on Inception features, which alone are "FID"); Dowson and
        Landau 1982 for the distance.

    Args:
        first: Feature vectors ``(N, D)``, their statistics, or their :func:`gaussian_factor`.
        second: Feature vectors ``(M, D)``, or the same of them.

    Range:
        ``[0, inf)`` (rounding below 0 is clipped); 0 for equal sets. Symmetric. Adding one vector to all features of
        both sides, or rotating them, changes nothing.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)``, different ``D``, or not finite.
        NotMeasurableError: Fewer than 2 vectors on a side.

    Example:
        >>> ones = torch.tensor([[0.0], [2.0]])
        >>> frechet_distance(ones, ones + 3.0)
        9.0
    """
    (mean_1, factor_1), (mean_2, factor_2) = gaussian_factor(first, "first"), gaussian_factor(second, "second")
    if len(mean_1) != len(mean_2):
        raise ValueError(f"both sides must have the same number of features, got {len(mean_1)} and {len(mean_2)}")
    traces = factor_1.square().sum() + factor_2.square().sum()
    cross = torch.linalg.svdvals(factor_1 @ factor_2.T).sum()
    return max(0.0, float((mean_1 - mean_2).square().sum() + traces - 2.0 * cross))


def gaussian_factor(side: Side, name: str = "features") -> GaussianFactor:
    r"""What a Frechet distance needs of a set of features, to be computed once where many sets are beside one.

    .. math::
        R^\top R = \Sigma

    Args:
        side: Feature vectors ``(N, D)``, their statistics (of any float dtype: they are brought to float64), or a
            factor already, which is taken as it is.
        name: What errors call it.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)``, statistics that are not ``(D,)`` and ``(D, D)``, or not finite.
        NotMeasurableError: Fewer than 2 vectors.

    Example:
        >>> gaussian_factor(torch.tensor([[0.0], [2.0]])).mean.item()
        1.0
    """
    if isinstance(side, GaussianFactor):
        return side
    if isinstance(side, FeatureStatistics):
        side = side.compute()
    if isinstance(side, GaussianStatistics):
        mean, covariance = (_finite_double(part, f"{name}: mean and covariance") for part in side)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            shapes = f"{tuple(mean.shape)} and {tuple(covariance.shape)}"
            raise ValueError(f"{name}: mean and covariance must be (D,) and (D, D), got {shapes}")
        try:
            eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
        except RuntimeError:  # LinAlgError: with many zeros, as few vectors give, LAPACK may not converge
            eigenvectors, eigenvalues, _ = torch.linalg.svd(covariance)
        return GaussianFactor(mean, eigenvalues.clamp(min=0.0).sqrt()[:, None] * eigenvectors.T)
    check_tensor(name, side)
    if side.ndim != 2:
        raise ValueError(f"{name} must be feature vectors (N, D), got {tuple(side.shape)}")
    if len(side) < 2:
        raise NotMeasurableError(f"{name} must hold at least 2 feature vectors, got {len(side)}")
    vectors = _finite_double(side)
    mean = vectors.mean(dim=0)
    factor = (vectors - mean) / (len(vectors) - 1) ** 0.5
    if factor.shape[0] > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return GaussianFactor(mean, factor)


def _finite_double(values: Tensor, name: str = "features") -> Tensor:
    check_tensor(name, values)
    vectors = values.detach().cpu().double()
    if not bool(torch.isfinite(vectors).all()):
        raise ValueError(f"{name} must be finite, got {int((~torch.isfinite(vectors)).sum())} values that are not")
    return vectors
