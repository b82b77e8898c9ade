"""How much of each codebook is used."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.codes._indices import checked_indices, entropy_bits
from vistok.metrics.streaming import StreamingMetric


class UsageMeasures(NamedTuple):
    """Measures of one or more codebooks; each field has one value a codebook.

    Attributes:
        usage: Share of the codes that occurred, ``(num_codebooks,)`` float64.
        perplexity: Two to the power of the entropy, ``(num_codebooks,)`` float64.
        entropy: Of the codes' frequencies, in bits, ``(num_codebooks,)`` float64.
        counts: Occurrences of each code, ``(num_codebooks, codebook_size)`` int64.
    """

    usage: Tensor
    perplexity: Tensor
    entropy: Tensor
    counts: Tensor


class CodeUsage(StreamingMetric):
    r"""Share of the codes in use, entropy and perplexity of each of several codebooks of one size.

    .. math::
        \mathrm{usage} = \frac{|\{k : n_k > 0\}|}{K}, \qquad
        H = -\sum_k \frac{n_k}{n} \log_2 \frac{n_k}{n}, \qquad \mathrm{perplexity} = 2^H

    Every code is counted, exactly and over all tokens of the set: no window, no batch. All three grow with the number
    of tokens until that is many times the codebook: state it. For codebooks of several sizes use one metric each.

    Source:
        Perplexity of a codebook: van den Oord et al. 2017, arXiv:1711.00937.

    Args:
        codebook_size: Number of codes ``K`` of each codebook.
        num_codebooks: Indices a token, counted apart. With more than 1 they are the last dimension.

    Shape:
        - update: any integer shape; ``(*, num_codebooks)`` with more than one codebook.
        - compute: see :class:`UsageMeasures`.

    Range:
        ``usage`` in ``(0, 1]``, ``entropy`` in ``[0, log2 K]``, ``perplexity`` in ``[1, K]``.

    Gradient:
        None: indices have none.

    Raises:
        TypeError: Indices are no whole numbers.
        ValueError: An index outside ``0 .. K - 1``, another last dimension, or sizes below 1.
        NotMeasurableError: ``compute`` before the first token.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; integers are summed, so measures are equal to the last digit.

    Example:
        >>> metric = CodeUsage(4)
        >>> metric.update(torch.tensor([[0, 0], [1, 1]]))
        >>> measures = metric.compute()
        >>> measures.usage.item(), measures.entropy.item(), measures.perplexity.item()
        (0.5, 1.0, 2.0)
    """

    def __init__(self, codebook_size: int, num_codebooks: int = 1) -> None:
        if codebook_size < 1 or num_codebooks < 1:
            raise ValueError(
                f"codebook_size and num_codebooks must be at least 1, got {codebook_size} and {num_codebooks}"
            )
        self.codebook_size, self.num_codebooks = codebook_size, num_codebooks
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {"counts": torch.zeros(self.num_codebooks, self.codebook_size, dtype=torch.int64)}

    def update(self, indices: Tensor) -> None:
        """Count the codes of a batch of tokens."""
        if self.num_codebooks > 1 and (indices.ndim == 0 or indices.shape[-1] != self.num_codebooks):
            raise ValueError(f"the last dimension of indices must be {self.num_codebooks}, got {tuple(indices.shape)}")
        columns = checked_indices(indices, self.codebook_size).reshape(-1, self.num_codebooks)
        counts = torch.stack([column.bincount(minlength=self.codebook_size) for column in columns.unbind(1)])
        self._add({"counts": counts})

    def compute(self) -> UsageMeasures:
        """Measures of all tokens."""
        counts = self._state["counts"].clone()
        self._need(int(counts.sum()), "token")
        entropy = entropy_bits(counts)
        return UsageMeasures((counts > 0).double().mean(dim=1), torch.exp2(entropy), entropy, counts)
