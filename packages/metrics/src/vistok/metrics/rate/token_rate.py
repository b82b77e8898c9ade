"""Bits that a token takes."""

import math
from typing import NamedTuple

from torch import Tensor

from vistok.metrics.codes._indices import entropy_bits
from vistok.metrics.not_measurable import NotMeasurableError


class TokenRate(NamedTuple):
    """Bits a token.

    Attributes:
        written: As an index of the codebook.
        coded: By an ideal code of the codes' frequencies.
    """

    written: float
    coded: float


def token_rate(counts: Tensor) -> TokenRate:
    r"""Bits a token as written and as coded, of how often each code occurred.

    .. math::
        \mathrm{written} = \log_2 K, \qquad \mathrm{coded} = -\sum_k \frac{n_k}{n} \log_2 \frac{n_k}{n}

    The code knows the frequencies of these very tokens and nothing of a token's neighbours: no code without context
    is shorter, and the table of frequencies is not counted. Written one by one, tokens take whole bits: round up.

    Source:
        Shannon 1948, the source coding theorem.

    Args:
        counts: Occurrences of each code, ``(K,)``; :class:`vistok.metrics.CodeUsage` counts them.

    Range:
        ``coded`` in ``[0, written]``.

    Raises:
        ValueError: Not ``(K,)``, or negative.
        NotMeasurableError: No token.

    Example:
        >>> import torch
        >>> token_rate(torch.tensor([2, 1, 1, 0]))
        TokenRate(written=2.0, coded=1.5)
    """
    if counts.ndim != 1 or not len(counts) or bool((counts < 0).any()):
        raise ValueError(f"counts must be (K,) and not negative, got {tuple(counts.shape)}")
    if not int(counts.sum()):
        raise NotMeasurableError("a rate needs at least 1 token, got 0")
    return TokenRate(math.log2(len(counts)), float(entropy_bits(counts)))
