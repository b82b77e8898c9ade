"""Frechet distance between two sets of features."""

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError


class FeatureStatistics:
    r"""Mean and covariance of a stream of features, in float64, merged batch by batch.

    .. math::
        m = \frac{1}{n} \sum_i f_i, \qquad \Sigma = \frac{1}{n - 1} \sum_i (f_i - m)(f_i - m)^\top

    Source:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", the pairwise merge.

    Args:
        dim: Number of features ``D``.

    Shape:
        - update: ``(N, D)``, any float dtype.
        - mean: ``(D,)``; covariance: ``(D, D)``; both float64.

    Raises:
        ValueError: Features are not ``(N, D)`` or not finite.
        NotMeasurableError: The covariance of fewer than 2 vectors.

    Distributed:
        No collectives. Gather every rank's statistics and :meth:`merge` them in any order.

    Example:
        >>> statistics = FeatureStatistics(1)
        >>> statistics.update(torch.tensor([[1.0], [3.0]]))
        >>> statistics.count, statistics.mean.item(), statistics.covariance.item()
        (2, 2.0, 2.0)
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64)
        self._scatter = torch.zeros(dim, dim, dtype=torch.float64)

    @property
    def covariance(self) -> Tensor:
        """Unbiased sample covariance."""
        if self.count < 2:
            raise NotMeasurableError(f"a covariance needs at least 2 feature vectors, got {self.count}")
        return self._scatter / (self.count - 1)

    def update(self, features: Tensor) -> None:
        """Take in a batch of feature vectors."""
        dim = len(self.mean)
        if features.ndim != 2 or features.shape[1] != dim:
            raise ValueError(f"features must be (N, {dim}), got {tuple(features.shape)}")
        if not len(features):
            return
        vectors = _finite_double(features)
        batch = FeatureStatistics(dim)
        batch.count, batch.mean = len(vectors), vectors.mean(dim=0)
        centred = vectors - batch.mean
        batch._scatter = centred.T @ centred
        self.merge(batch)

    def merge(self, other: "FeatureStatistics") -> None:
        """Take in everything that another one has seen."""
        total = self.count + other.count
        if not other.count:
            return
        shift = other.mean - self.mean
        self._scatter = self._scatter + other._scatter + torch.outer(shift, shift) * (self.count * other.count / total)
        self.mean = self.mean + shift * (other.count / total)
        self.count = total


def frechet_distance(first: Tensor | FeatureStatistics, second: Tensor | FeatureStatistics) -> float:
    r"""Frechet distance between Gaussians fitted to two sets of features, in float64.

    .. math::
        d^2 = \lVert m_1 - m_2 \rVert^2 + \operatorname{tr} \Sigma_1 + \operatorname{tr} \Sigma_2
              - 2 \operatorname{tr} (\Sigma_1 \Sigma_2)^{1/2}

    With factors ``Σ = RᵀR`` the last trace is the nuclear norm of ``R₁R₂ᵀ``, so no matrix square root is taken and
    fewer vectors than features are no special case: the centred features themselves are the factor, and the value is
    exact for the sample covariances. It is biased upwards for small samples, though, and more so the fewer there are.
    State both counts, and compare only numbers with equal counts, equal feature network and equal resizing.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, Eq. 6 (there on Inception features, which alone are "FID"); Dowson and
        Landau 1982 for the distance.

    Args:
        first: Feature vectors ``(N, D)``, or their statistics.
        second: Feature vectors ``(M, D)``, or their statistics.

    Range:
        ``[0, inf)`` (rounding below 0 is clipped); 0 for equal sets. Symmetric. Adding one vector to all features of
        both sides, or rotating them, changes nothing.

    Raises:
        ValueError: Not ``(N, D)``, different ``D``, or not finite.
        NotMeasurableError: Fewer than 2 vectors on a side.

    Example:
        >>> ones = torch.tensor([[0.0], [2.0]])
        >>> frechet_distance(ones, ones + 3.0)
        9.0
    """
    mean_1, factor_1 = _mean_and_factor(first, "first")
    mean_2, factor_2 = _mean_and_factor(second, "second")
    if len(mean_1) != len(mean_2):
        raise ValueError(f"both sides must have the same number of features, got {len(mean_1)} and {len(mean_2)}")
    traces = factor_1.square().sum() + factor_2.square().sum()
    cross = torch.linalg.svdvals(factor_1 @ factor_2.T).sum()
    return max(0.0, float((mean_1 - mean_2).square().sum() + traces - 2.0 * cross))


def _mean_and_factor(side: Tensor | FeatureStatistics, name: str) -> tuple[Tensor, Tensor]:
    """Mean, and a factor ``R`` with at most ``D`` rows and ``RᵀR`` equal to the covariance."""
    if isinstance(side, FeatureStatistics):
        eigenvalues, eigenvectors = torch.linalg.eigh(side.covariance)
        return side.mean, eigenvalues.clamp(min=0.0).sqrt()[:, None] * eigenvectors.T
    if side.ndim != 2:
        raise ValueError(f"{name} must be feature vectors (N, D), got {tuple(side.shape)}")
    if len(side) < 2:
        raise NotMeasurableError(f"{name} must hold at least 2 feature vectors, got {len(side)}")
    vectors = _finite_double(side)
    mean = vectors.mean(dim=0)
    factor = (vectors - mean) / (len(vectors) - 1) ** 0.5
    if factor.shape[0] > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


def _finite_double(features: Tensor) -> Tensor:
    vectors = features.detach().cpu().double()
    if not bool(torch.isfinite(vectors).all()):
        raise ValueError(f"features must be finite, got {int((~torch.isfinite(vectors)).sum())} values that are not")
    return vectors
