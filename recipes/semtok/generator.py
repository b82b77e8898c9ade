"""The generators of a run: how each kind is built and drawn from. All see a token as groups of its bits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.generator_config import AnySampleConfig, MaskedConfig, MaskedSampleConfig
from semtok.paths import RunPaths
from vistok.generators import FAR, BitTokens, FAROptions, MaskedAR, MaskedAROptions, MaskedSampling
from vistok.workbench.backbones.pretrained import load_module
from vistok.workbench.training.generator_training import generator_record
from vistok.workbench.training.precision import mixed_precision

Generator = FAR | MaskedAR


def build_generator(config: SemTokConfig, name: str, num_classes: int) -> Generator:
    """Masked AR on bits, or FAR with the groups of a token as its streams."""
    settings, length = config.generators[name], config.tokenizer.num_tokens
    sizes = {"width": settings.width, "depth": settings.depth, "num_heads": settings.num_heads}
    shared: dict[str, Any] = {
        "label_drop_prob": settings.label_dropout,
        "dropout": settings.dropout,
        "attention": settings.attention,
    }
    tokens = BitTokens(config.tokenizer.bits, settings.num_groups)
    model: Generator
    if isinstance(settings, MaskedConfig):
        masked = MaskedAROptions(**shared, label_smoothing=settings.label_smoothing)
        model = MaskedAR(tokens, length, num_classes, **sizes, options=masked)
    else:
        far = FAROptions(**shared, prefix_rotation=settings.prefix_rotation, head_depth=settings.head_depth)
        model = FAR(tokens.unit_sizes, (1, length), num_classes, **sizes, options=far)
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: SemTokConfig, paths: RunPaths, name: str) -> Generator:
    """A trained generator of a run, in evaluation mode."""
    model = build_generator(config, name, generator_record(paths, name)["num_classes"])
    load_module(model, paths.generator(name))
    return model.eval()


@dataclass(frozen=True)
class TokenGroups:
    """A token of ``bits`` bits as ``count`` groups of its bits, lowest first.

    Example:
        >>> TokenGroups(4, 2).split(torch.tensor([[0b0110]])).tolist()
        [[[2, 1]]]
    """

    bits: int
    count: int

    def split(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N)`` as groups ``(B, N, G)``."""
        groups: Tensor = (tokens[..., None] >> self._shifts(tokens.device)) & (2 ** (self.bits // self.count) - 1)
        return groups

    def join(self, groups: Tensor) -> Tensor:
        """Inverse of :meth:`split`."""
        tokens: Tensor = (groups << self._shifts(groups.device)).sum(dim=-1)
        return tokens

    def _shifts(self, device: torch.device) -> Tensor:
        return torch.arange(self.count, device=device) * (self.bits // self.count)


@torch.no_grad()
def generate(
    model: Any,
    labels: Tensor,
    groups: TokenGroups,
    settings: AnySampleConfig,
    draws: torch.Generator,
    *,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Tokens ``(B, N)`` of the given classes, from the kind of generator that ``settings`` are for; or the first few.

    ``observe`` sees groups and mask after each step of masked AR.
    """
    options: dict[str, Any] = {"guidance": settings.guidance, "num_tokens": settings.num_tokens}
    if isinstance(settings, MaskedSampleConfig):
        options["settings"] = MaskedSampling(
            order=settings.order,
            temperature=settings.temperature,
            noise=settings.confidence_noise,
            refresh_every=settings.refresh_every,
        )
        units = (settings.num_tokens or model.length) * model.num_units
        options |= {"num_steps": min(settings.num_steps, units), "observe": observe}
    with mixed_precision(labels.device, settings.mixed_precision):
        drawn: Tensor = model.sample(labels, generator=draws, **options)
    return groups.join(drawn)


def token_groups(config: SemTokConfig, name: str) -> TokenGroups:
    """How a generator sees a token."""
    return TokenGroups(config.tokenizer.bits, config.generators[name].num_groups)
