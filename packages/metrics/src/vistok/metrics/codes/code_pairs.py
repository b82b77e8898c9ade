"""What two codebooks say together: joint entropy and mutual information."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.codes._indices import checked_indices, entropy_bits
from vistok.metrics.streaming import GatheringMetric


class PairMeasures(NamedTuple):
    """Entropies of the tokens of two codebooks, in bits.

    Attributes:
        first_entropy: Of the first codebook's codes.
        second_entropy: Of the second's.
        joint_entropy: Of the pairs.
        mutual_information: What one code tells of the other; 0 if they are independent.
        bias: What too few tokens add to the mutual information, to first order; read it beside it.
    """

    first_entropy: float
    second_entropy: float
    joint_entropy: float
    mutual_information: float
    bias: float


class CodePairs(GatheringMetric):
    r"""Joint entropy and mutual information of two codebooks whose tokens stand at the same places.

    .. math::
        I = H_1 + H_2 - H_{12}, \qquad
        H_{12} = -\sum_{a, b} \frac{n_{ab}}{n} \log_2 \frac{n_{ab}}{n}, \qquad
        \mathrm{bias} \approx \frac{m_{12} - m_1 - m_2 + 1}{2 n \ln 2}

    with :math:`m` the numbers of pairs and codes that occurred. Counts of pairs that occurred are kept, not a table of
    all: memory grows with their number, at most with that of tokens. The mutual information of few tokens is too large
    (of ``n`` different pairs it is ``log2 n``): trust it only where it is many times the bias.

    Source:
        Shannon 1948; the bias by Miller 1955, "Note on the bias of information estimates".

    Args:
        first_size: Codes of the first codebook.
        second_size: Codes of the second.

    Shape:
        - update: two integer tensors of one shape.

    Range:
        ``mutual_information`` in ``[0, min(H_1, H_2)]``.

    Gradient:
        None: indices have none.

    Raises:
        TypeError: Indices are no whole numbers.
        ValueError: An index outside its codebook, shapes that differ, or sizes below 1.
        NotMeasurableError: ``compute`` before the first token.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; integers are summed, so measures are equal to the last digit.

    Example:
        >>> metric = CodePairs(2, 4)
        >>> metric.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2, 3]))
        >>> measures = metric.compute()
        >>> measures.joint_entropy, measures.mutual_information
        (2.0, 1.0)
    """

    def __init__(self, first_size: int, second_size: int) -> None:
        if first_size < 1 or second_size < 1:
            raise ValueError(f"first_size and second_size must be at least 1, got {first_size} and {second_size}")
        self.first_size, self.second_size = first_size, second_size
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {name: torch.zeros(0, dtype=torch.int64) for name in ("pairs", "counts")}

    def update(self, first: Tensor, second: Tensor) -> None:
        """Count the pairs of a batch of tokens."""
        if first.shape != second.shape:
            raise ValueError(f"both must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
        codes = checked_indices(first, self.first_size, "first"), checked_indices(second, self.second_size, "second")
        pairs, counts = (codes[0] * self.second_size + codes[1]).flatten().unique(return_counts=True)
        self._add({"pairs": pairs, "counts": counts})

    def _condensed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        pairs, places = rows["pairs"].unique(return_inverse=True)
        return {"pairs": pairs, "counts": torch.zeros_like(pairs).index_add_(0, places, rows["counts"])}

    def compute(self) -> PairMeasures:
        """Measures of all tokens."""
        state = self.state_dict()
        pairs, counts = state["pairs"], state["counts"]
        self._need(int(counts.sum()), "token")
        sides = []
        for codes, size in ((pairs // self.second_size, self.first_size), (pairs % self.second_size, self.second_size)):
            sides.append(torch.zeros(size, dtype=torch.int64).index_add_(0, codes, counts))
        first, second, joint = (float(entropy_bits(part)) for part in (*sides, counts))
        occurred = len(pairs) - sum(int((side > 0).sum()) for side in sides) + 1
        bias = occurred / (2 * int(counts.sum())) / math.log(2.0)
        return PairMeasures(first, second, joint, max(0.0, first + second - joint), bias)
