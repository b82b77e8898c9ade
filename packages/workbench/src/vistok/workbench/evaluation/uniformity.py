"""How evenly features lie in their space: at one position of each of some images, several times."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vistok.metrics import density_uniformity, one_position_per_image, wang_isola_uniformity
from vistok.workbench.evaluation.measures import Evaluation

SECTION = "uniformity"


def add_uniformity(evaluation: Evaluation, features: Tensor, *, num_points: int, repeats: int, seed: int) -> None:
    """Put the uniformity of features into the section ``uniformity``: means over the repeats, and their deviations.

    Args:
        evaluation: Where it goes.
        features: Of all images, ``(N, d, h, w)``.
        num_points: Images that are drawn, at most; of each, one position.
        repeats: How often they are drawn anew.
        seed: Of the draws.
    """
    points = draw_points(features, num_points=num_points, repeats=repeats, seed=seed)
    evaluation.add(SECTION, "density", lambda: over_repeats(points, density_measures))
    evaluation.add(SECTION, "Wang-Isola", lambda: over_repeats(points, wang_isola_measures))


def draw_points(features: Tensor, *, num_points: int, repeats: int, seed: int) -> list[Tensor]:
    """The features at one random position of each of the drawn images ``(n, d)``, for each repeat."""
    every = (torch.Generator().manual_seed(seed * 1_009 + repeat) for repeat in range(repeats))
    return [one_position_per_image(features, generator=draws, num_images=num_points) for draws in every]


def over_repeats(points: list[Tensor], measure: Callable[[Tensor], dict[str, float]]) -> dict[str, float]:
    """Means of measures over the repeats, and their deviations where there are several."""
    repeats = [measure(drawn) for drawn in points]
    values = {name: torch.tensor([repeat[name] for repeat in repeats], dtype=torch.float64) for name in repeats[0]}
    means = {name: value.mean().item() for name, value in values.items()}
    if len(repeats) > 1:
        means |= {f"{name}_deviation": value.std().item() for name, value in values.items()}
    return means


def density_measures(points: Tensor) -> dict[str, float]:
    """Density CV, normalised entropy and Gini."""
    return dict(zip(("density_cv", "normalized_entropy", "gini"), density_uniformity(points), strict=True))


def wang_isola_measures(points: Tensor) -> dict[str, float]:
    """The uniformity of directions."""
    return {"wang_isola": wang_isola_uniformity(F.normalize(points, dim=1))}
