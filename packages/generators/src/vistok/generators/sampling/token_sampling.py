"""Draw token ids from logits: temperature, top-k and top-p."""

import torch
from torch import Tensor

from vistok.generators._checks import check_certain, check_whole
from vistok.generators._random import uniform


def check_draw(*, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
    """Raise unless ids can be drawn so."""
    if not temperature >= 0:
        raise ValueError(f"temperature must be >= 0, got {temperature}")
    check_whole("top_k", top_k, 0)
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")


def filter_logits(logits: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    r"""Set the logits outside the ``top_k`` largest and outside the nucleus of mass ``top_p`` to ``-inf``.

    Top-k comes first, top-p acts on what it leaves. The nucleus is the shortest run of most likely tokens whose mass
    reaches ``top_p``, summed in float32 at least; the most likely token always stays. Ties with the k-th largest logit
    all stay.

    Source:
        Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2019, arXiv:1904.09751, Section 3.1 (top-p).

    Args:
        logits: Unnormalised log-probabilities.
        top_k: How many to keep; 0 keeps all.
        top_p: Mass to keep, in ``(0, 1]``; 1 keeps all.

    Shape:
        ``(..., V)`` to the same.

    Range:
        The input or ``-inf``; at least one finite entry a row.

    Gradient:
        Flows to the kept logits.

    Raises:
        ValueError: ``top_k < 0`` or ``top_p`` outside ``(0, 1]``.

    Example:
        >>> import torch
        >>> filter_logits(torch.tensor([1.0, 3.0, 2.0]), top_k=2).tolist()
        [-inf, 3.0, 2.0]
    """
    check_draw(top_k=top_k, top_p=top_p)
    if 0 < top_k < logits.shape[-1]:
        smallest = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < smallest, float("-inf"))
    if top_p < 1:
        ordered, index = logits.sort(dim=-1, descending=True)
        mass = ordered.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        outside = mass.cumsum(dim=-1) - mass >= top_p
        outside[..., 0] = False
        logits = logits.masked_fill(torch.zeros_like(outside).scatter(-1, index, outside), float("-inf"))
    return logits


def draw_tokens(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Draw one id a row from :math:`\mathrm{softmax}(logits / temperature)` after :func:`filter_logits`.

    Temperature 0 takes the most likely id and draws nothing.

    One uniform number a row, whatever the size of the vocabulary: the id is the first whose cumulative probability
    exceeds it (inversion; sums in float64, where the device has it).

    Source:
        Devroye 1986, Non-Uniform Random Variate Generation, Section III.2.

    Args:
        logits: Unnormalised log-probabilities.
        temperature: ``>= 0``.
        top_k: See :func:`filter_logits`.
        top_p: See :func:`filter_logits`; acts after the temperature.
        generator: Makes the draws.

    Shape:
        ``(..., V)`` to ``(...)``, int64.

    Range:
        ``0 .. V - 1``.

    Gradient:
        None.

    Raises:
        ValueError: ``temperature`` is not ``>= 0``, a bad filter, or the largest logit of a row is NaN or infinite
            (on a CUDA device an assertion on the device fails instead).

    Example:
        >>> import torch
        >>> draw_tokens(torch.tensor([[0.0, 2.0, 1.0]]), temperature=0.0).tolist()
        [1]
    """
    check_draw(temperature=temperature, top_k=top_k, top_p=top_p)
    logits = logits.float()
    largest = logits.amax(dim=-1, keepdim=True)
    check_certain("logits", largest)
    if temperature == 0:
        return filter_logits(logits, top_k=top_k, top_p=top_p).argmax(dim=-1)
    scaled = filter_logits((logits - largest) / temperature, top_k=top_k, top_p=top_p)
    mass = scaled.softmax(dim=-1, dtype=torch.float32 if scaled.device.type == "mps" else torch.float64).cumsum(dim=-1)
    number = uniform(scaled.shape[:-1], scaled.device, generator).unsqueeze(-1)
    return ((mass <= number) & (mass < mass[..., -1:])).sum(dim=-1)  # ids without probability are passed over
