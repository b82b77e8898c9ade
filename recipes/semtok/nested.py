"""Nested dropout beside the whole sequence: in one step an image is decoded from all of its tokens, and from some."""

from collections.abc import Callable

import torch
from torch import Tensor

from semtok.config import LossConfig

_BOTH = 0.5  # share of prefixes where there are both kinds


def nested_length(num_tokens: int, lengths: str, place: float) -> int:
    r"""How many tokens are kept, from 1 to ``num_tokens - 1`` for ``place`` uniform in [0, 1).

    - ``"log_uniform"``: :math:`\lfloor N^u \rfloor`, of probability :math:`\log_N \frac{k+1}{k}`: every doubling is met
      about as often. Quality grows about with the logarithm of the length, so what the first tokens hold gets as many
      gradients as what the last half adds.
    - ``"uniform"``: each as often as any other; half of the time more than half of the tokens.

    Example:
        >>> [nested_length(16, "log_uniform", place) for place in (0.0, 0.25, 0.5, 0.75, 0.999)]
        [1, 2, 4, 8, 15]
    """
    length = num_tokens**place if lengths == "log_uniform" else 1 + place * (num_tokens - 1)
    return min(int(length), num_tokens - 1)


def nested_hidden(num_tokens: int, losses: LossConfig, draws: torch.Generator) -> Tensor:
    """Which tokens ``(N,)`` of an image are hidden from its second decoding: never all, never none.

    What is kept is a prefix (Rippel et al. 2014, arXiv:1402.0915), or scattered: so many at random.
    """
    place, coin = torch.rand(2, generator=draws).tolist()
    length = nested_length(num_tokens, losses.nested_lengths, place)
    prefix = losses.nested_sets == "prefix" or (losses.nested_sets == "both" and coin < _BOTH)
    rank = torch.arange(num_tokens) if prefix else torch.randperm(num_tokens, generator=draws)
    return rank >= length


def from_all_and_some(
    decoder: Callable[..., Tensor], x_t: Tensor, codes: Tensor, t: Tensor, hidden: Tensor, nested: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What a decoder says with ``hidden`` tokens, and with those of ``nested`` where there are any.

    Both are halves of one batch: a network that is divided among processes is called once before its backward pass.
    """
    if nested is None:
        return decoder(x_t, codes, t, hidden), None
    whole, some = decoder(twice(x_t), twice(codes), twice(t), torch.cat([hidden, nested])).chunk(2)
    return whole, some


def twice(batch: Tensor) -> Tensor:
    """A batch behind itself."""
    return torch.cat([batch, batch])
