"""The samplers of masked generators: most confident first, in random order, or in raster order."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from vistok.generators._checks import check_choice, check_length, check_whole
from vistok.generators._random import gumbel, uniform
from vistok.generators.sampling._masked_cache import CachedLogits, CachedModel
from vistok.generators.sampling.guidance import Guidance, guide
from vistok.generators.sampling.mask_schedules import MaskSchedule, masked_counts
from vistok.generators.sampling.token_sampling import draw_tokens


class UnitModel(CachedModel, Protocol):
    """Logits of every unit given those not hidden: :class:`~vistok.generators.MaskedAR`, as the sampler sees it."""

    length: int
    num_units: int

    def __call__(self, tokens: Tensor, mask: Tensor, labels: Tensor) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class MaskedSampling:
    r"""How a masked generator fills in.

    ``"confidence"``: every step draws all hidden units and fixes those of highest
    :math:`\log p + \tau (1 - i/S)\,g`, ``g`` standard Gumbel and ``i`` the step from 1. There ``p`` is the probability
    with which the unit's value was drawn: after guidance and temperature, as MaskBit's sampler takes it. At temperature
    0 that would be 1 everywhere, and ``p`` is the untempered probability.
    ``"random"``: units are fixed in one random order a sample, whatever their probability.
    ``"raster"``: units are fixed from the first position to the last, within a position from the first unit on. With
    as many steps as units this is ancestral sampling from left to right.

    With ``refresh_every`` :math:`R > 1` the steps between full passes of the network run the positions that may have
    changed alone; what these see of the others are keys and values from the pass in which each last ran. With
    :math:`M_i` the units hidden before step ``i`` from 0, step ``i`` runs

    .. math:: A_i = \{t : (t, u) \in M_{i-1} \text{ for a unit } u\}, \qquad A_i = \{1..T\} \text{ if } R \mid i

    so that a position runs once more after its last unit was fixed, and then rests, as the class token does. An
    approximation: at ``1`` every step runs all positions, which is exact.

    Source:
        confidence: MaskGIT (arXiv:2202.04200), Section 3.2, with MaskBit's published code for the temperature; random:
        MAR (arXiv:2406.11838), Section 3.4; keys and values kept from one step after a token is fixed: dKV-Cache-Decode
        (Ma et al. 2025, arXiv:2505.15781), for masked image generators with a periodic refresh LazyMAR
        (Yan et al. 2025, arXiv:2503.12450), which chooses the tokens otherwise.

    Args:
        order: See above.
        schedule: How many units are hidden after each step.
        temperature: Of the draw of ids, and so of their confidence; 0 takes the most likely.
        noise: The weight of the Gumbel noise, ``tau``; for ``"confidence"``.
        refresh_every: Steps from one full pass of the network to the next, ``>= 1``; 1 is the exact sampler.

    Raises:
        ValueError: An unknown order or schedule, a negative ``temperature``, a negative or infinite ``noise``, or a
            ``refresh_every`` that is no integer ``>= 1``.

    Example:
        >>> MaskedSampling(order="random").schedule
        'cosine'
    """

    order: Literal["confidence", "random", "raster"] = "confidence"
    schedule: MaskSchedule = "cosine"
    temperature: float = 1.0
    noise: float = 4.5
    refresh_every: int = 1

    def __post_init__(self) -> None:
        check_choice("order", self.order, ("confidence", "random", "raster"))
        check_choice("schedule", self.schedule, ("cosine", "arccos", "linear"))  # those that reach 0
        if not (0 <= self.noise < math.inf and self.temperature >= 0):
            raise ValueError(f"noise and temperature must be finite and >= 0, got {self.noise} and {self.temperature}")
        check_whole("refresh_every", self.refresh_every, 1)


def sample_masked(
    model: UnitModel,
    labels: Tensor,
    num_steps: int,
    guidance: Guidance,
    settings: MaskedSampling,
    generator: torch.Generator | None,
    observe: Callable[[Tensor, Tensor], None] | None,
    num_tokens: int | None,
) -> Tensor:
    """Tokens (B, k, U) of the first ``num_tokens`` positions; the network sees the others hidden to the end."""
    batch, device = len(labels), labels.device
    length = check_length(num_tokens, model.length)
    units, wanted = model.length * model.num_units, length * model.num_units
    counts = masked_counts(wanted, num_steps, settings.schedule)
    scales = _scales(guidance, counts, wanted)
    unwanted = torch.arange(units, device=device) >= wanted
    tokens = torch.zeros(batch, model.length, model.num_units, dtype=torch.int64, device=device)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    order = _fixed_order(settings.order, batch, units, device, generator)
    cached = None
    if settings.refresh_every > 1:
        cached = CachedLogits(model, labels, any(scale != 1 for scale in scales), settings.refresh_every)
    for step, (left, scale) in enumerate(zip(counts, scales, strict=True)):
        if cached is None:
            drawn, log_prob = _draw(_logits(model, tokens, mask, labels, scale), settings, generator)
        else:
            logits, rows = cached(tokens, mask, scale)
            index = rows[..., None].expand_as(tokens)
            drawn, log_prob = (part.gather(1, index) for part in _draw(logits, settings, generator))
        tokens = torch.where(mask, drawn, tokens)
        if order is None:
            weight = settings.noise * (1 - (step + 1) / num_steps)
            noise = gumbel((batch, units), device, generator) if weight > 0 else 0.0
            score = log_prob.flatten(1) + weight * noise
        else:
            score = order
        score = score.masked_fill(~mask.flatten(1), math.inf)
        score = score.masked_fill(unwanted, -math.inf)
        lowest = score.argsort(dim=-1)[:, : left + units - wanted]
        mask = torch.zeros_like(score, dtype=torch.bool).scatter(1, lowest, True).view_as(tokens)
        if observe is not None:
            observe(tokens.clone(), mask.clone())
    return tokens[:, :length]


def _scales(guidance: Guidance, counts: list[int], units: int) -> list[float]:
    """The scale of guidance of every step; ``counts`` are hidden after it."""
    if guidance.clock == "step":
        return [guidance.at(step / len(counts)) for step in range(len(counts))]
    return [guidance.at(1 - hidden / units) for hidden in counts]


def _fixed_order(
    order: str, batch: int, units: int, device: torch.device, generator: torch.Generator | None
) -> Tensor | None:
    """Scores (B, N) that fall in the order of fixing, or None where confidence decides."""
    if order == "random":
        return uniform((batch, units), device, generator)
    if order == "raster":
        return torch.arange(units, 0, -1, dtype=torch.float32, device=device).expand(batch, units)
    return None


def _logits(model: UnitModel, tokens: Tensor, mask: Tensor, labels: Tensor, scale: float) -> tuple[Tensor, ...]:
    """Guided logits of every unit."""
    if scale == 1:
        return model(tokens, mask, labels)
    both = torch.cat([labels, torch.full_like(labels, model.null_label)])
    doubled = model(tokens.repeat(2, 1, 1), mask.repeat(2, 1, 1), both)
    return tuple(guide(stream[: len(labels)], stream[len(labels) :], scale) for stream in doubled)


def _draw(
    logits: tuple[Tensor, ...], settings: MaskedSampling, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Ids from the logits of each unit and their log-probability, both with the units on the last axis."""
    ids = [draw_tokens(stream, temperature=settings.temperature, generator=generator) for stream in logits]
    log_probs = [_log_prob(stream, chosen, settings) for stream, chosen in zip(logits, ids, strict=True)]
    return torch.stack(ids, dim=-1), torch.stack(log_probs, dim=-1)


def _log_prob(logits: Tensor, ids: Tensor, settings: MaskedSampling) -> Tensor:
    """Of the drawn ids, as they were drawn; at temperature 0, where that is 0 for all, without the temperature."""
    tempered = logits / settings.temperature if settings.temperature else logits
    return tempered.log_softmax(dim=-1).gather(-1, ids[..., None])[..., 0]
