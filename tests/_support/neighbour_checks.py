"""Checks of precision, recall, density, coverage and diversity; they take the package, as :mod:`metric_checks` do."""

from types import ModuleType

import numpy as np
import torch

from _support.strategies import normal

REAL = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # radii with k = 1: 1, 1, 2, 7
SAMPLES = torch.tensor([[0.5], [4.5], [9.0]])  # radii with k = 1: 4, 4, 4.5


def distances(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Every distance, one pair at a time."""
    return np.array([[np.linalg.norm(p - q) for q in b.double().numpy()] for p in a.double().numpy()])


def radii(vectors: torch.Tensor, k: int) -> np.ndarray:
    """Sorted, the distances of a vector start with itself: the k-th other one stands at k."""
    return np.sort(distances(vectors, vectors), axis=1)[:, k]


def precision_and_recall_by_hand(m: ModuleType) -> None:
    """Each sample lies within 7 of 10 or within 1 of 0: 3 of 3; 0, 1, 3 and 10 lie within 4 to 4.5 of a sample: 4 of 4.
    Two samples at 20 and 21 lie nowhere, and no real image is within 1 of them. Of 0.5, 0.6 and 18 the last lies
    nowhere, but its own neighbourhood, as wide as 17.4, holds all real images but 0.
    """
    assert m.precision_recall(REAL, SAMPLES, k=1) == (1.0, 1.0)
    assert m.precision_recall(REAL, torch.tensor([[20.0], [21.0]]), k=1) == (0.0, 0.0)
    assert m.precision_recall(REAL, torch.tensor([[0.5], [0.6], [18.0]]), k=1) == (2 / 3, 3 / 4)


def density_and_coverage_by_hand(m: ModuleType) -> None:
    """0.5 lies in the balls of 0 and 1; 4.5 in those of 3 and 10; 9 in that of 10: 5 for 3 samples; all are covered."""
    assert m.density_coverage(REAL, SAMPLES, k=1) == (5 / 3, 1.0)
    assert m.density_coverage(REAL, SAMPLES[:1], k=1) == (2.0, 0.5)
    assert m.density_coverage(REAL, torch.tensor([[21.0]]), k=3) == (0.0, 0.0)


def neighbour_figures_follow_their_formulas(m: ModuleType) -> None:
    for seed, (n, count, k) in enumerate([(40, 30, 3), (25, 60, 5), (9, 8, 1)]):
        x, y = normal(seed, n, 4), normal(seed + 10, count, 4) * 1.3 + 0.4
        between, of_real, of_samples = distances(x, y), radii(x, k), radii(y, k)
        inside = between <= of_real[:, None]
        precision, recall = inside.any(0).mean(), (between <= of_samples).any(1).mean()
        for block_size in (1, 7, 1000):
            values = m.precision_recall(x, y, k=k, block_size=block_size)
            assert np.allclose(values, (precision, recall), atol=1e-12)
            spread = m.density_coverage(x, y, k=k, block_size=block_size)
            assert np.allclose(spread, (inside.sum() / (k * count), inside.any(1).mean()), atol=1e-12)
        assert 0 < precision < 1 or 0 < recall < 1


def diversity_is_a_ratio_of_mean_distances_within_classes(m: ModuleType) -> None:
    x, y = normal(0, 30, 3), normal(1, 20, 3) * 0.5
    of_x, of_y = torch.arange(30) % 3, torch.arange(20) % 4  # class 3 has no real image
    means = []
    for side, labels in ((x, of_x), (y, of_y)):
        within = [distances(side[labels == c], side[labels == c]) for c in range(3)]
        means.append(sum(d[np.triu_indices(len(d), 1)].mean() for d in within))
    for block_size in (1, 4, 100):
        value = m.relative_diversity(x, of_x, y, of_y, block_size=block_size)
        assert abs(value - means[1] / means[0]) < 1e-12


def diversity_by_hand(m: ModuleType) -> None:
    """Real pairs are 3 and 6 apart, samples 1 and 2: (1 + 2) / (3 + 6); a class with one sample does not count."""
    real, samples = torch.tensor([[0.0], [3.0], [10.0], [16.0]]), torch.tensor([[0.0], [1.0], [5.0], [7.0], [90.0]])
    labels = torch.tensor([0, 0, 1, 1])
    value = m.relative_diversity(real, labels, samples, torch.tensor([0, 0, 1, 1, 2]))
    assert abs(value - 3 / 9) < 1e-12
    only_first = m.relative_diversity(real, labels, samples[:3], torch.tensor([0, 0, 1]))
    assert abs(only_first - 1 / 3) < 1e-12


CHECKS = [
    precision_and_recall_by_hand,
    density_and_coverage_by_hand,
    neighbour_figures_follow_their_formulas,
    diversity_is_a_ratio_of_mean_distances_within_classes,
    diversity_by_hand,
]
