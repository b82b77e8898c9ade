"""What is random in a training step, drawn image by image: it does not depend on how a batch is divided."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from semtok.config import LossConfig
from semtok.nested import nested_hidden
from semtok.tokenizer_config import TokenizerConfig
from vistok.generators import logit_normal_times
from vistok.workbench.run.devices import to_device


class Draws(NamedTuple):
    """For a batch: times ``t (B,)``, ``noise (B, C, H, W)``, and which tokens the decoder does not see ``(B, N)``.

    With nested dropout also which of them it does not see when it decodes the images once more.
    """

    t: Tensor
    noise: Tensor
    hidden: Tensor
    nested: Tensor | None = None

    def to(self, device: torch.device) -> "Draws":
        """The same on a device."""
        nested = None if self.nested is None else to_device(self.nested, device)
        return Draws(to_device(self.t, device), to_device(self.noise, device), to_device(self.hidden, device), nested)


def draw(places: Tensor, step: int, seed: int, sizes: TokenizerConfig, losses: LossConfig) -> Draws:
    """The draws of the images at these places of a step's global batch, each from a generator of its own."""
    times, noises, hidden, nested = [], [], [], []
    for place in places.tolist():
        own = torch.Generator().manual_seed(((seed * 1_000_003 + step) * 65_537 + place) % 2**63)
        times.append(logit_normal_times((1,), uniform_prob=losses.uniform_times, generator=own))
        noises.append(torch.randn(sizes.channels, sizes.working_size, sizes.working_size, generator=own))
        hidden.append(hidden_tokens(sizes.num_tokens, (losses.condition_dropout, losses.suffix_dropout), own))
        if losses.nested_weight:
            nested.append(nested_hidden(sizes.num_tokens, losses, own))
    seen_again = torch.stack(nested) if nested else None
    return Draws(shifted(torch.cat(times), losses.time_shift), torch.stack(noises), torch.stack(hidden), seen_again)


def shifted(t: Tensor, shift: float) -> Tensor:
    """Times moved towards the noise: ``s t / (1 + (s - 1) t)`` (Esser et al. 2024, arXiv:2403.03206, Eq. 23)."""
    return shift * t / (1 + (shift - 1) * t)


def hidden_tokens(num_tokens: int, shares: Sequence[float], draws: torch.Generator) -> Tensor:
    """Which tokens ``(N,)`` of an image are hidden: all (with the first share), a suffix (the second), or none."""
    coin, place = torch.rand(2, generator=draws).tolist()
    everything, suffix = shares
    if coin < everything:
        first = 0
    elif coin < everything + suffix:
        first = 1 + int(place * (num_tokens - 1))
    else:
        first = num_tokens
    return torch.arange(num_tokens) >= first
