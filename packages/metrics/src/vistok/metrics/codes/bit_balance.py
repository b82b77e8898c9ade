"""How evenly the bits of binary tokens take both values."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.streaming import StreamingMetric

_DEAD = 0.01


class BitMeasures(NamedTuple):
    """Measures of bits.

    Attributes:
        share_of_ones: Of each bit, in the shape of the metric, float64.
        entropy: Mean over the bits of the entropy of each, in bits: 1 says that each is a fair coin.
        imbalance: Mean over the bits of ``|2 p - 1|``: 0 says that each is a fair coin.
        alive: Share of bits that took both values.
        dead: Share of bits that are one value in more than 99 % of the images.
    """

    share_of_ones: Tensor
    entropy: float
    imbalance: float
    alive: float
    dead: float


class BitBalance(StreamingMetric):
    r"""Entropy and balance of single bits.

    .. math::
        H = \frac1B \sum_b -p_b \log_2 p_b - (1 - p_b) \log_2 (1 - p_b), \qquad
        \mathrm{imbalance} = \frac1B \sum_b |2 p_b - 1|

    Bits are taken one by one: that two always agree is not seen (:class:`CodePairs` sees it). The share of bits that
    are alive grows with the number of images.

    Source:
        The entropy that lookup-free quantization maximises over a batch: Yu et al. 2023, arXiv:2310.05737.

    Args:
        shape: Of the bits of one image or token, ``(positions, bits)`` or ``(bits,)``: each is counted by itself.

    Shape:
        - update: ``(B, *shape)``, bool or integers 0 and 1. :func:`index_bits` gives those of indices.

    Range:
        ``entropy``, ``imbalance``, ``alive`` and ``dead`` in ``[0, 1]``.

    Gradient:
        None: bits have none.

    Raises:
        ValueError: Another shape, or values that are not 0 and 1.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; integers are summed, so measures are equal to the last digit.

    Example:
        >>> metric = BitBalance((2,))
        >>> metric.update(torch.tensor([[0, 1], [1, 1]]))
        >>> metric.compute().share_of_ones.tolist(), metric.compute().alive
        ([0.5, 1.0], 0.5)
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if not shape or min(shape) < 1:
            raise ValueError(f"shape must have sides of at least 1, got {shape}")
        self.shape = tuple(shape)
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {"ones": torch.zeros(self.shape, dtype=torch.int64), "count": torch.zeros((), dtype=torch.int64)}

    def update(self, bits: Tensor) -> None:
        """Count the ones of a batch."""
        if tuple(bits.shape[1:]) != self.shape or bits.is_floating_point():
            raise ValueError(f"bits must be whole numbers (B, {', '.join(map(str, self.shape))}), got {_told(bits)}")
        found = bits.detach().cpu().long()
        if not bool(((found == 0) | (found == 1)).all()):
            raise ValueError(f"bits must be 0 or 1, got {int(found.min())} to {int(found.max())}")
        self._add({"ones": found.sum(dim=0), "count": torch.tensor(len(found))})

    def compute(self) -> BitMeasures:
        """Measures of all bits."""
        count = int(self._state["count"])
        self._need(count, "image")
        ones = self._state["ones"]
        share = ones.double() / count
        entropy = torch.special.entr(share) + torch.special.entr(1 - share)
        return BitMeasures(
            share,
            float(entropy.mean() / math.log(2.0)),
            float((2 * share - 1).abs().mean()),
            float(((ones > 0) & (ones < count)).double().mean()),
            float(((share < _DEAD) | (share > 1 - _DEAD)).double().mean()),
        )


def index_bits(indices: Tensor, bits: int) -> Tensor:
    """The lowest ``bits`` bits of ``indices``, the lowest first, in a last dimension of its own: int64, 0 or 1.

    Example:
        >>> index_bits(torch.tensor([6]), 3).tolist()
        [[0, 1, 1]]
    """
    return (indices.long()[..., None] >> torch.arange(bits, device=indices.device)) & 1


def _told(bits: Tensor) -> str:
    return f"{tuple(bits.shape)} {bits.dtype}"
