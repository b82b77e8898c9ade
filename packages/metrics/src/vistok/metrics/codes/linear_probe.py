"""How much of the class a linear classifier reads from frozen features."""

from typing import Any

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError

STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5)
_HELD_OUT = 5  # one sample in this many of a class chooses the strength
_MAX_ITERATIONS = 1000
_AT_A_TIME = 8192  # samples that are held in float64


def linear_probe_accuracy(
    train_features: Tensor, train_labels: Tensor, features: Tensor, labels: Tensor, *, seed: int = 0
) -> float:
    r"""Share of ``features`` whose label a linear classifier names that was fitted on ``train_features`` only.

    Multinomial logistic regression on features brought to mean 0 and deviation 1 over the training part and divided
    by :math:`\sqrt D` (so that one grid of strengths serves every width), with the bias left free:

    .. math:: \min_{W, b} \; \frac1N \sum_i -\log \mathrm{softmax}(W x_i + b)_{y_i} + \frac\lambda2 \lVert W \rVert_F^2

    Two classes share one weight vector, whose sign tells them apart.

    The strength :math:`\lambda` is the one of ``STRENGTHS`` with the best accuracy on a fifth of each training
    class that is held out for that (equal ones: the strongest); then all training samples are fitted with it.

    Source:
        Alain and Bengio 2016, arXiv:1610.01644; a strength chosen on held-out training samples as in CLIP
        (arXiv:2103.00020), Appendix A.3.

    Args:
        train_features: Of the samples to fit.
        train_labels: Their classes.
        features: Of the samples to measure.
        labels: Their classes; one that training does not have counts as wrong.
        seed: Seed of the split that chooses the strength.

    Shape:
        - features: ``(N, ...)``, flattened to ``(N, D)``.
        - labels: ``(N,)``, integers.

    Range:
        ``[0, 1]``. Unchanged, up to rounding, when a feature is scaled or shifted in both parts; the same numbers
        every time.

    Raises:
        ValueError: Features and labels differ in length, a part is empty, widths differ, or a feature is not finite.
        NotMeasurableError: Training has one class only, or no class twice.
        TypeError: Labels are not integers.

    Example:
        >>> x, y = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> linear_probe_accuracy(x, y, torch.tensor([[-3.0], [3.0], [4.0]]), torch.tensor([0, 1, 0]))
        0.6666666666666666
    """
    import numpy as np

    _check("train", train_features, train_labels)
    _check("measured", features, labels)
    y, widths = train_labels.cpu().numpy(), [part[0].numel() for part in (train_features, features)]
    if widths[0] != widths[1]:
        raise ValueError(f"both parts must have one width, got {widths[0]} and {widths[1]}")
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise NotMeasurableError(
            f"train labels must have 2 classes and one of them twice, got counts {counts.tolist()}"
        )
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    scaler = StandardScaler()
    for rows in train_features.split(_AT_A_TIME):
        scaler.partial_fit(_rows(rows))
    x = np.concatenate([_standardised(scaler, _rows(rows)) for rows in train_features.split(_AT_A_TIME)])
    with threadpool_limits(1):  # sums in a fixed order: the same numbers every time
        model = _fit(x, y, _chosen_strength(x, y, seed))
        named = [model.predict(_standardised(scaler, _rows(rows))) for rows in features.split(_AT_A_TIME)]
        return float(np.mean(np.concatenate(named) == labels.cpu().numpy()))


def _chosen_strength(x: Any, y: Any, seed: int) -> float:
    import numpy as np

    held_out = _held_out(y, seed)
    scores = [
        float(np.mean(_fit(x[~held_out], y[~held_out], strength).predict(x[held_out]) == y[held_out]))
        for strength in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(scores))]  # the first of equal ones


def _held_out(y: Any, seed: int) -> Any:
    """True for a fifth of each class, at least one sample; a class with a single sample keeps it."""
    import numpy as np

    draws = np.random.default_rng(seed)
    mask = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = draws.permutation(np.flatnonzero(y == label))
        if len(members) > 1:
            mask[members[: max(1, len(members) // _HELD_OUT)]] = True
    return mask


def _fit(x: Any, y: Any, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    # lbfgs: a step costs one pass over the features; scikit-learn weighs the sum of the losses by C
    return LogisticRegression(C=1 / (strength * len(y)), solver="lbfgs", max_iter=_MAX_ITERATIONS).fit(x, y)


def _standardised(scaler: Any, rows: Any) -> Any:
    return (scaler.transform(rows) / rows.shape[1] ** 0.5).astype("float32")


def _rows(features: Tensor) -> Any:
    return features.detach().flatten(1).cpu().double().numpy()


def _check(part: str, features: Tensor, labels: Tensor) -> None:
    if features.ndim < 2 or labels.ndim != 1 or len(features) != len(labels) or not features.numel():
        shapes = f"{tuple(features.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"{part} features and labels must be (N, ...) and (N,), not empty, got {shapes}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{part} labels must be integers, got {labels.dtype}")
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"{part} features must be finite")
