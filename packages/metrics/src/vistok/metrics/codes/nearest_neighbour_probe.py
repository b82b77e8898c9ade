"""How much of the class the neighbourhood of frozen features holds: nothing is trained."""

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.not_measurable import NotMeasurableError


def nearest_neighbour_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    features: Tensor,
    labels: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
    block_size: int = 1024,
) -> float:
    r"""Share of ``features`` whose label most of their nearest training features have, by a weighted vote.

    .. math::
        \hat y(x) = \arg\max_c \sum_{i \in N_k(x)} [y_i = c] \, e^{\cos(x, x_i) / \tau}

    Of classes with equal votes the smallest is taken. It is the vote that self-supervised features are measured by,
    and needs no fit: a linear probe that is better says that the classes are there, but not in the cosine.

    Source:
        Wu et al. 2018, arXiv:1805.01978, Section 3.4; ``k`` 20 and temperature 0.07 as in DINO (arXiv:2104.14294).

    Args:
        train_features: Of the samples that vote.
        train_labels: Their classes.
        features: Of the samples to measure.
        labels: Their classes; one that training does not have counts as wrong.
        k: How many neighbours vote; all, if there are fewer.
        temperature: Divides the cosines; the smaller, the more the nearest ones count.
        block_size: Samples measured at a time; changes memory, not the result.

    Shape:
        - features: ``(N, ...)``, flattened to ``(N, D)``.
        - labels: ``(N,)``, integers, at least 0.

    Range:
        ``[0, 1]``. Unchanged by a positive scale of each feature vector.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Features and labels differ in length, a part is empty, widths differ, features are not finite, or
            ``k``, ``temperature`` or ``block_size`` is not positive.
        TypeError: Labels are not integers.
        NotMeasurableError: A zero vector has no direction.

    Example:
        >>> x, y = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), torch.tensor([0, 0, 1])
        >>> nearest_neighbour_accuracy(x, y, torch.tensor([[2.0, 0.0], [0.1, 1.0]]), torch.tensor([0, 0]), k=1)
        0.5
    """
    if k < 1 or not temperature > 0 or block_size < 1:
        raise ValueError(f"k, temperature and block_size must be positive, got {k}, {temperature} and {block_size}")
    train, classes = _directions("train", train_features, train_labels), train_labels.long()
    measured = _directions("measured", features, labels)
    if train.shape[1] != measured.shape[1]:
        raise ValueError(f"both parts must have one width, got {train.shape[1]} and {measured.shape[1]}")
    right = 0
    for part, wanted in zip(measured.split(block_size), labels.split(block_size), strict=True):
        cosines, nearest = (part @ train.T).topk(min(k, len(train)), dim=1)
        votes = torch.zeros(len(part), int(classes.max()) + 1, dtype=torch.float64, device=part.device)
        votes.scatter_add_(1, classes.to(part.device)[nearest], ((cosines - 1) / temperature).exp())
        right += int((votes.argmax(dim=1) == wanted.to(part.device)).sum())
    return right / len(measured)


def _directions(part: str, features: Tensor, labels: Tensor) -> Tensor:
    if features.ndim < 2 or labels.ndim != 1 or len(features) != len(labels) or not features.numel():
        shapes = f"{tuple(features.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"{part} features and labels must be (N, ...) and (N,), not empty, got {shapes}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{part} labels must be integers, got {labels.dtype}")
    if int(labels.min()) < 0:
        raise ValueError(f"{part} labels must be at least 0, got {int(labels.min())}")
    vectors = to_float64(features.detach().flatten(1))
    norms = vectors.norm(dim=1, keepdim=True)
    if not bool(torch.isfinite(norms).all()):
        raise ValueError(f"{part} features must be finite")
    if bool((norms == 0).any()):
        raise NotMeasurableError(f"none of the {part} features may be zero: a zero vector has no direction")
    directions: Tensor = vectors / norms
    return directions
