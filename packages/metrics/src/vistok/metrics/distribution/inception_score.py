"""Inception Score: how sure a classifier is of each image, and how many classes it sees over all."""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution._image_keys import check_indices, image_keys
from vistok.metrics.streaming import StreamingMetric

_LIKE_NEIGHBOURS = 0.25  # images whose class is that of the one before, above chance: from here on a set looks sorted


class SplitScores(NamedTuple):
    """An Inception Score over splits.

    Attributes:
        mean: Mean over the splits.
        deviation: Population deviation over the splits.
    """

    mean: float
    deviation: float


def inception_score(probabilities: Tensor, *, splits: int = 10, seed: int | None = 0) -> SplitScores:
    """Score of class probabilities ``(N, C)`` in the order of their images; see :class:`InceptionScore`."""
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must be (N, C), got {tuple(probabilities.shape)}")
    metric = InceptionScore(probabilities.shape[1], splits=splits, seed=seed or 0)
    if seed is not None:
        metric.update(probabilities, torch.arange(len(probabilities)))
    else:
        _warn_of_sorted(probabilities)
        for number, part in enumerate(probabilities.tensor_split(splits)):
            metric._add_to_split(part, torch.full((len(part),), number))
    return metric.compute()


class InceptionScore(StreamingMetric):
    r"""Exponential of the mean divergence of an image's class probabilities from the mean ones, over splits.

    .. math::
        \mathrm{IS} = \exp\Big(\frac1n \sum_i \sum_c p_{ic} \log \frac{p_{ic}}{\bar p_c}\Big)
        = \exp\Big(\frac1n \sum_i \sum_c p_{ic} \log p_{ic} - \sum_c \bar p_c \log \bar p_c\Big)

    of each split; then mean and deviation over the splits. By the second form a split is kept as sums, whatever the
    number of images.

    A published split is a tenth of the images in the order of their file, which is wrong for a file sorted by class:
    each split then holds few classes, and the score falls. Here ``seed`` and an image's number decide its split, as if
    the images had been shuffled (splits are equally large up to chance), and no order matters. ``inception_score(...,
    seed=None)`` takes consecutive images as the ADM evaluator does, and warns if they look sorted.

    Source:
        Salimans et al. 2016, arXiv:1606.03498, Section 4; ten splits as in its code.

    Args:
        num_classes: Classes ``C`` of the classifier.
        splits: How many splits.
        seed: Decides which image goes to which split.

    Shape:
        - update: probabilities ``(B, C)``, rows sum to 1; indices ``(B,)``, the number of each image in the whole set
          (from 0, each once: they decide the splits).

    Range:
        ``[1, C]``. It falls with fewer images a split: say how many images and splits there were. Splits of a few dozen
        images differ in size enough to be seen in the deviation.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Not ``(B, C)``, rows that are no probabilities, indices of another length, ``splits`` below 1.
        NotMeasurableError: ``compute`` with a split that has no image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; ranks give the images the numbers that one process would.

    Example:
        >>> sure = torch.eye(4).repeat(10, 1)
        >>> round(inception_score(sure, splits=1).mean, 4), round(inception_score(sure * 0 + 0.25, splits=1).mean, 4)
        (4.0, 1.0)
    """

    def __init__(self, num_classes: int, *, splits: int = 10, seed: int = 0) -> None:
        if splits < 1 or num_classes < 1:
            raise ValueError(f"num_classes and splits must be at least 1, got {num_classes} and {splits}")
        self.num_classes, self.splits, self.seed = num_classes, splits, seed
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {
            "counts": torch.zeros(self.splits, dtype=torch.int64),
            "sums": torch.zeros(self.splits, self.num_classes, dtype=torch.float64),
            "negative_entropies": torch.zeros(self.splits, dtype=torch.float64),
        }

    def update(self, probabilities: Tensor, indices: Tensor) -> None:
        """Take in the class probabilities of a batch of images, and the images' numbers."""
        if probabilities.ndim != 2 or probabilities.shape[1] != self.num_classes:
            raise ValueError(f"probabilities must be (B, {self.num_classes}), got {tuple(probabilities.shape)}")
        self._add_to_split(probabilities, self._split_of(check_indices(indices, len(probabilities))))

    def _split_of(self, indices: Tensor) -> Tensor:
        """Which split the images of these numbers go to, each drawn by itself."""
        return image_keys(indices, self.seed).remainder(self.splits)

    def _add_to_split(self, probabilities: Tensor, splits: Tensor) -> None:
        """Take in class probabilities ``(B, C)`` of images whose splits ``(B,)`` are known."""
        p = probabilities.detach().cpu().double()
        if not bool(((p >= 0).all(dim=1) & ((p.sum(dim=1) - 1).abs() < 1e-3)).all()):
            raise ValueError("probabilities must be at least 0 and sum to 1 in each row")
        fresh = self._empty()
        fresh["counts"].index_add_(0, splits, torch.ones_like(splits))
        fresh["sums"].index_add_(0, splits, p)
        fresh["negative_entropies"].index_add_(0, splits, -torch.special.entr(p).sum(dim=1))
        self._add(fresh)

    def compute(self) -> SplitScores:
        """Mean and deviation over the splits."""
        counts = self._state["counts"]
        self._need(int(counts.min()), "image in each split")
        mean = self._state["sums"] / counts[:, None]
        scores = (self._state["negative_entropies"] / counts + torch.special.entr(mean).sum(dim=1)).exp()
        return SplitScores(scores.mean().item(), scores.std(correction=0).item())


def _warn_of_sorted(probabilities: Tensor) -> None:
    classes = probabilities.argmax(dim=1)
    chance = (classes.bincount().double() / max(1, len(classes))).square().sum()
    alike = (classes[1:] == classes[:-1]).double().mean() if len(classes) > 1 else chance
    if float(alike - chance) > _LIKE_NEIGHBOURS:
        shares = f"{float(alike):.0%} of the images are of the class of the one before, by chance {float(chance):.0%}"
        warnings.warn(f"{shares}: images sorted by class have a lower Inception Score in file order", stacklevel=3)
