"""How evenly latents fill their space: densities after t-SNE, and the Gaussian potential on the sphere."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.codes.cosine import unit_rows
from vistok.metrics.not_measurable import NotMeasurableError

_PERPLEXITY = 30


class DensityUniformity(NamedTuple):
    """Evenness of point densities.

    Attributes:
        cv: Coefficient of variation; 0 for an even spread.
        normalized_entropy: 1 for an even spread.
        gini: Gini coefficient; 0 for an even spread.
    """

    cv: float
    normalized_entropy: float
    gini: float


def evenness(densities: Tensor) -> DensityUniformity:
    r"""Coefficient of variation, normalised entropy and Gini coefficient of positive densities.

    .. math::
        \mathrm{CV} = \frac{\mathrm{sd}(\rho)}{\mathrm{mean}(\rho)}, \quad
        H = -\frac{\sum_i p_i \log_2 (p_i + 10^{-10})}{\log_2 n}, \quad
        G = \frac{\sum_i (2 i - n - 1) \rho_{(i)}}{n \sum_i \rho_i}

    with the population deviation, ``p = ρ / Σρ`` and ``ρ`` sorted ascending in the Gini coefficient.

    Source:
        Yao et al. 2025 (LightningDiT), arXiv:2501.01423, latent-space uniformity study; GloTok reports the same three.

    Range:
        ``cv`` in ``[0, sqrt(n - 1)]``, ``normalized_entropy`` in ``[0, 1]`` (up to 1e-9), ``gini`` in ``[0, 1 - 1/n]``.
        Unchanged by the order and the common scale of the densities.

    Raises:
        ValueError: Not ``(n,)`` with ``n >= 2``, an entry negative or not finite, or all zero.

    Example:
        >>> evenness(torch.tensor([1.0, 3.0])).gini
        0.25
    """
    import numpy as np

    rho = densities.detach().cpu().double()
    if rho.ndim != 1 or len(rho) < 2:
        raise ValueError(f"densities must be (n,) with n >= 2, got {tuple(rho.shape)}")
    if not bool(torch.isfinite(rho).all()) or bool((rho < 0).any()) or not float(rho.sum()) > 0:
        raise ValueError("densities must be finite, not negative and not all zero")
    n = len(rho)
    shares = rho / rho.sum()
    entropy = -(shares * torch.log2(shares + 1e-10)).sum() / np.log2(n)
    ranks = torch.arange(1, n + 1, dtype=torch.float64)
    gini = ((2 * ranks - n - 1) * rho.sort().values).sum() / (n * rho.sum())
    return DensityUniformity(float(rho.std(correction=0) / rho.mean()), float(entropy), float(gini))


def one_position_per_image(latents: Tensor, *, generator: torch.Generator, num_images: int | None = None) -> Tensor:
    """One random spatial position of every image, or of ``num_images`` random ones: ``(N, C, H, W)`` to ``(n, C)``.

    Images are drawn without repetition, for sets are often sorted by class; all of them if there are not more.

    Args:
        latents: ``(N, C, H, W)``.
        generator: Decides which images and positions.
        num_images: How many images; ``None`` takes all.

    Raises:
        ValueError: Latents are not ``(N, C, H, W)``, or ``num_images`` is below 1.

    Example:
        >>> one_position_per_image(torch.zeros(5, 8, 2, 2), generator=torch.Generator(), num_images=3).shape
        torch.Size([3, 8])
    """
    if latents.ndim != 4:
        raise ValueError(f"latents must be (N, C, H, W), got {tuple(latents.shape)}")
    if num_images is not None and num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    if num_images is not None and num_images < len(latents):
        latents = latents[torch.randperm(len(latents), generator=generator)[:num_images]]
    flat = latents.flatten(2)
    positions = torch.randint(flat.shape[2], (len(flat),), generator=generator)
    return flat[torch.arange(len(flat)), :, positions]


def density_uniformity(vectors: Tensor, *, seed: int = 42) -> DensityUniformity:
    """Evenness of the density of latents, as published uniformity studies measure it.

    Channels are brought to mean 0 and deviation 1, t-SNE (perplexity 30, 1,000 iterations) maps the vectors to the
    plane, a Gaussian kernel density estimate (Scott's bandwidth) is evaluated at the points, and :func:`evenness`
    summarises it. t-SNE puts repeated vectors in clumps: say whether the vectors are quantised. One random position
    of each of 10,000 images is the published setting; repeat over draws and average.

    Source:
        Yao et al. 2025 (LightningDiT), arXiv:2501.01423; GloTok measures its semantic codes this way.

    Args:
        vectors: ``(n, d)``, more than 30 of them.
        seed: Seed of t-SNE.

    Range:
        As :func:`evenness`. The same vectors and seed give the same numbers.

    Raises:
        ValueError: Not ``(n, d)``, or not finite.
        NotMeasurableError: 30 vectors or fewer, or all vectors equal but in one channel.
    """
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (n, d), got {tuple(vectors.shape)}")
    if len(vectors) <= _PERPLEXITY:
        raise NotMeasurableError(f"vectors must be (n, d) with n > {_PERPLEXITY} for t-SNE, got {len(vectors)}")
    values = vectors.detach().cpu().double()
    deviations = values.std(dim=0, correction=0)
    if not bool(torch.isfinite(values).all()):
        raise ValueError("vectors must be finite")
    if not bool((deviations > 0).any()):
        raise NotMeasurableError("vectors must be not all equal for t-SNE, got equal ones")
    if int((deviations > 0).sum()) < 2:
        raise NotMeasurableError("vectors must differ in 2 channels or more for t-SNE, got 1")
    values = (values - values.mean(dim=0))[:, deviations > 0] / deviations[deviations > 0]
    from scipy.stats import gaussian_kde
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):  # sums in a fixed order: the same numbers every time
        points = TSNE(perplexity=_PERPLEXITY, max_iter=1000, random_state=seed, n_jobs=1).fit_transform(values.numpy())
    return evenness(torch.from_numpy(gaussian_kde(points.T)(points.T)))


def wang_isola_uniformity(vectors: Tensor, *, temperature: float = 2.0, block_size: int = 1024) -> float:
    r"""Logarithm of the mean Gaussian potential of pairs of directions: lower is more uniform. Needs no t-SNE.

    .. math::
        \log \frac{2}{n (n - 1)} \sum_{i < j} \exp(-t \lVert u_i - u_j \rVert^2), \qquad u = v / \lVert v \rVert

    Source:
        Wang and Isola 2020, arXiv:2005.10242, Eq. 7 (over pairs of different samples).

    Args:
        vectors: ``(n, d)``, at least two, none zero.
        temperature: ``t``, positive.
        block_size: Rows compared at a time; changes memory, not the result.

    Range:
        ``[-4 t, 0]``; 0 when all directions agree. Unchanged by the positive scale of each vector.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Not ``(n, d)``, not finite, or ``temperature`` or ``block_size`` not positive.
        NotMeasurableError: Fewer than 2 vectors, or a zero vector.

    Example:
        >>> wang_isola_uniformity(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
        -8.0
    """
    if not temperature > 0 or block_size < 1:
        raise ValueError(f"temperature and block_size must be positive, got {temperature} and {block_size}")
    units = unit_rows(vectors)
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(units), block_size):
        cosines = units[start : start + block_size] @ units[start:].T
        potentials = torch.exp(-2.0 * temperature * (1.0 - cosines)).triu(diagonal=1)
        total = total + potentials.sum()
    return float(torch.log(total * 2 / (len(units) * (len(units) - 1))))
