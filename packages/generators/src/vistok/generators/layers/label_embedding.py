"""Class embedding with a null label for guidance."""

import torch
from torch import Tensor, nn

from vistok.generators._checks import check_labels, check_share
from vistok.generators._random import uniform


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
        ValueError: ``drop_prob`` outside ``[0, 1)``, labels that are not ``(B,)``, or a label out of range (on CUDA and
            in a compiled graph a failed assertion on the device, with the same line: nothing waits for it).
        TypeError: Labels that are not a dense tensor of integers.

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
        check_share("drop_prob", drop_prob)
        self.null_label = num_classes
        self.drop_prob = drop_prob
        self.table = nn.Embedding(num_classes + 1, dim)

    def forward(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """See the class; ``generator`` draws which labels are dropped."""
        check_labels(labels, self.null_label)
        if self.training and self.drop_prob > 0:
            dropped = uniform(labels.shape, labels.device, generator) < self.drop_prob
            labels = labels.masked_fill(dropped, self.null_label)
        out: Tensor = self.table(labels)
        return out
