"""Class embedding with a null label for guidance."""

import torch
from torch import Tensor, nn

from ._random import uniform


class LabelEmbedding(nn.Module):
    r"""Table of class vectors; a label is replaced by the null label with a set probability while training.

    Source:
        Ho and Salimans 2022, arXiv:2207.12598, Algorithm 1.

    Args:
        num_classes: Number of classes; the null label is ``num_classes``.
        dim: Size of a class vector.
        drop_prob: Probability of the null label in training mode.

    Shape:
        Labels ``(B,)``, integers in ``[0, num_classes]``, to ``(B, dim)``.

    Range:
        Rows of the table; in eval mode exactly the rows asked for.

    Gradient:
        Flows to the rows that were used.

    Raises:
        ValueError: ``drop_prob`` outside ``[0, 1)``, labels that are not ``(B,)``, or a label out of range
            (checked for CPU labels).
        TypeError: Labels that are not integers.

    Example:
        >>> import torch
        >>> table = LabelEmbedding(10, 4, drop_prob=0.1)
        >>> table(torch.tensor([3, table.null_label])).shape
        torch.Size([2, 4])
    """

    def __init__(self, num_classes: int, dim: int, *, drop_prob: float = 0.1) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be >= 1, got {num_classes}")
        if not 0 <= drop_prob < 1:
            raise ValueError(f"drop_prob must lie in [0, 1), got {drop_prob}")
        self.null_label = num_classes
        self.drop_prob = drop_prob
        self.table = nn.Embedding(num_classes + 1, dim)

    def forward(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """See the class; ``generator`` draws which labels are dropped."""
        if not torch.compiler.is_compiling():
            self._check(labels)
        if self.training and self.drop_prob > 0:
            dropped = uniform(labels.shape, labels.device, generator) < self.drop_prob
            labels = labels.masked_fill(dropped, self.null_label)
        out: Tensor = self.table(labels)
        return out

    def _check(self, labels: Tensor) -> None:
        if labels.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"labels must be integers (int64 or int32), got {labels.dtype}")
        if labels.ndim != 1:
            raise ValueError(f"labels must have shape (B,), got {tuple(labels.shape)}")
        if labels.device.type == "cpu" and labels.numel():
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high > self.null_label:
                raise ValueError(f"labels must lie in [0, {self.null_label}], got values from {low} to {high}")
