"""k-means centres of the rows of all ranks."""

import torch
from torch import Tensor

from vistok.quantizers._collectives import rows_of_all_ranks, value_of_first_rank
from vistok.quantizers._precision import autocast_off, unit
from vistok.quantizers._rows import check_dense, check_sizes, finite_rows, random_order
from vistok.quantizers.nearest import Metric, nearest_codes


def k_means(
    rows: Tensor,
    num_clusters: int,
    *,
    generator: torch.Generator | None,
    metric: Metric = "euclidean",
    iterations: int = 10,
) -> Tensor:
    r"""Cluster rows by Lloyd's iterations, starting from rows drawn without replacement.

    .. math::
        a_i = \arg\min_k \lVert x_i - c_k \rVert, \qquad c_k = \operatorname{mean} \{ x_i : a_i = k \}

    With ``metric="cosine"`` rows and centres have unit length (spherical k-means). An empty cluster keeps its centre.

    Source:
        Lloyd 1982, "Least squares quantization in PCM"; Dhillon and Modha 2001 for the spherical form.

    Args:
        rows: Points of this rank; rows that are not finite are left out.
        num_clusters: Number of centres.
        generator: Draws the starting rows, the global generator if ``None``; on rank 0 only its draw counts.
        metric: ``"euclidean"`` or ``"cosine"``.
        iterations: Lloyd iterations, ``>= 0``; ``0`` returns the starting rows.

    Shape:
        - rows: ``(n, d)``, any float dtype.
        - result: ``(num_clusters, d)``, float32.

    Range:
        Euclidean centres lie in the convex hull of the rows; cosine centres have length 1 (0 for opposing rows).

    Gradient:
        None.

    Raises:
        TypeError: ``rows`` is not a dense tensor.
        ValueError: ``rows`` is not two-dimensional, an argument is out of range, or all ranks together hold fewer
            finite rows than ``num_clusters``.

    Distributed:
        Clusters the rows of all ranks; every rank must call it and returns rank 0's centres.

    Example:
        >>> import torch
        >>> rows = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
        >>> k_means(rows, 2, generator=torch.Generator().manual_seed(0)).sort(0).values.flatten().tolist()
        [1.0, 11.0]
    """
    check_dense("rows", rows, "k_means")
    if rows.ndim != 2:
        raise ValueError(f"k_means: rows must be (n, d), got {tuple(rows.shape)}")
    check_sizes("k_means", {"num_clusters": num_clusters})
    if iterations < 0:
        raise ValueError(f"k_means: iterations must be at least 0, got {iterations}")
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"k_means: metric must be 'euclidean' or 'cosine', got {metric!r}")
    with torch.no_grad(), autocast_off(rows):
        rows = rows.detach().float()
        rows = rows_of_all_ranks(finite_rows(rows))
        if metric == "cosine":
            rows = unit(rows)
        if rows.shape[0] < num_clusters:
            raise ValueError(f"k_means: needs at least num_clusters={num_clusters} finite rows, got {rows.shape[0]}")
        order = random_order(rows.shape[0], generator)
        centres = rows[order[:num_clusters].to(rows.device)]
        for _ in range(iterations):
            centres = _lloyd_step(rows, centres, metric)
        return value_of_first_rank(centres)


def _lloyd_step(rows: Tensor, centres: Tensor, metric: Metric) -> Tensor:
    nearest = nearest_codes(rows, centres, metric=metric)
    count = rows.new_zeros(centres.shape[0], 1).index_add_(0, nearest, rows.new_ones(rows.shape[0], 1))
    total = torch.zeros_like(centres).index_add_(0, nearest, rows)
    mean = total / count.clamp_min(1)
    return torch.where(count > 0, unit(mean) if metric == "cosine" else mean, centres)
