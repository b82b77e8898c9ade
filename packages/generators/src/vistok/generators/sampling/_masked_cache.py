"""The network of masked sampling, run where tokens may have changed, with keys and values kept elsewhere."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from vistok.generators.layers._position_cache import PositionCache
from vistok.generators.sampling.guidance import guide


class CachedModel(Protocol):
    """:class:`~vistok.generators.MaskedAR`, as the cached sampler sees it."""

    blocks: nn.ModuleList

    @property
    def null_label(self) -> int: ...

    def cached_logits(
        self, tokens: Tensor, mask: Tensor, labels: Tensor, caches: Sequence[PositionCache], positions: Tensor | None
    ) -> tuple[Tensor, ...]: ...


class CachedLogits:
    """Guided logits of the positions that the step before still saw hidden; every ``refresh_every`` steps of all.

    Thus a position runs while a unit of it is hidden, and once more with its last token. The batch is doubled when
    guided, the null-label half at the end.
    """

    def __init__(self, model: CachedModel, labels: Tensor, guided: bool, refresh_every: int) -> None:
        self.model = model
        self.refresh_every = refresh_every
        self.copies = 2 if guided else 1
        self.labels = torch.cat([labels, torch.full_like(labels, model.null_label)]) if guided else labels
        self.caches = [PositionCache() for _ in model.blocks]
        self.step = 0
        self.open = torch.empty(0)  # (B, T): the positions with hidden units at the step before

    def __call__(self, tokens: Tensor, mask: Tensor, scale: float) -> tuple[tuple[Tensor, ...], Tensor]:
        """``(B, n, unit_size)`` logits a unit, and the row ``(B, T)`` of each position that has one."""
        full = self.step % self.refresh_every == 0
        active = torch.ones_like(mask[..., 0]) if full else self.open
        positions = None if full else listed(active).repeat(self.copies, 1)
        repeats = (self.copies, 1, 1)
        logits = self.model.cached_logits(
            tokens.repeat(repeats), mask.repeat(repeats), self.labels, self.caches, positions
        )
        if self.copies == 2:
            half = len(tokens)
            logits = tuple(guide(stream[:half], stream[half:], scale) for stream in logits)
        self.step += 1
        self.open = mask.any(dim=-1)
        return logits, (active.cumsum(dim=-1) - 1).clamp_min(0)


def listed(active: Tensor) -> Tensor:
    """Numbers ``(B, n)`` of the true entries of ``(B, T)``, in order; a sample with fewer repeats its first."""
    counts = active.sum(dim=-1, keepdim=True)
    most = active.shape[-1] if active.is_meta or not len(active) else int(counts.max())
    order = active.long().argsort(dim=-1, descending=True, stable=True)[:, :most]
    return torch.where(torch.arange(most, device=active.device) < counts, order, order[:, :1])
