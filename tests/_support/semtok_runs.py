"""What the recipe's tests share: the smallest configuration, networks whose outputs are not zero, gradients."""

from pathlib import Path

import torch

from semtok.config import SemTokConfig, load
from semtok.model import SemTok

TINY = str(Path(__file__).parent / "tiny_semtok.yaml")


def tiny(*overrides: str) -> SemTokConfig:
    """The smallest configuration, with changes."""
    return load(TINY, overrides)


def lively(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter that starts at zero (gates, outputs) random values: an untrained network then answers."""
    draws = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter.data, std=0.2, generator=draws)
    return module


def tiny_tokenizer(refiner=None, space=None, model=SemTok, **changes) -> SemTok:
    """A lively untrained tokenizer of the smallest sizes; ``model`` is the class, for copies with a bug."""
    torch.manual_seed(0)
    settings = tiny().tokenizer.model_copy(update=changes)
    return lively(model(settings, refiner, tiny().sampler, space)).eval()


def pictures(count: int = 3, size: int = 16, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Random images in [-1, 1]."""
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def generator(seed: int = 0) -> torch.Generator:
    """A seeded source of draws."""
    return torch.Generator().manual_seed(seed)


def gradients_of_every_step(monkeypatch) -> list[list[torch.Tensor | None]]:
    """A list that every step of Adam adds its parameters' gradients to; unlike the weights they know their scale."""
    seen, advance = [], torch.optim.Adam.step

    def watched(self, *given, **named):
        parameters = [p for group in self.param_groups for p in group["params"]]
        seen.append([None if p.grad is None else p.grad.clone() for p in parameters])
        return advance(self, *given, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return seen


def assert_gradients_agree(whole, parts) -> None:
    """Up to float32 rounding, on the scale of the largest gradient; and they are not all zero."""
    scale = max(gradient.abs().max().item() for gradient in whole if gradient is not None)
    assert scale > 0
    for one, other in zip(whole, parts, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5 * scale)
