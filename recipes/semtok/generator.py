"""The generators of a run: how each kind is built and drawn from. All see a token as groups of its parts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.generator_config import AnySampleConfig, MaskedConfig, MaskedSampleConfig
from semtok.paths import RunPaths
from semtok.quantizer import group_sizes
from vistok.generators import FAR, BitTokens, FAROptions, IdTokens, MaskedAR, MaskedAROptions, MaskedSampling
from vistok.workbench.backbones.pretrained import load_module
from vistok.workbench.training.generator_training import generator_record
from vistok.workbench.training.precision import mixed_precision

Generator = FAR | MaskedAR


def build_generator(config: SemTokConfig, name: str, num_classes: int) -> Generator:
    """Masked AR on bits (of codes that are not binary, on ids), or FAR with the groups of a token as its streams."""
    settings, length = config.generators[name], config.tokenizer.num_tokens
    sizes = {"width": settings.width, "depth": settings.depth, "num_heads": settings.num_heads}
    shared: dict[str, Any] = {
        "label_drop_prob": settings.label_dropout,
        "dropout": settings.dropout,
        "attention": settings.attention,
    }
    groups = token_groups(config, name)
    binary = config.tokenizer.quantizer.binary
    tokens = BitTokens(config.tokenizer.bits, settings.num_groups) if binary else IdTokens(groups.sizes)
    model: Generator
    if isinstance(settings, MaskedConfig):
        masked = MaskedAROptions(**shared, label_smoothing=settings.label_smoothing)
        model = MaskedAR(tokens, length, num_classes, **sizes, options=masked)
    else:
        far = FAROptions(**shared, prefix_rotation=settings.prefix_rotation, head_depth=settings.head_depth)
        model = FAR(groups.sizes, (1, length), num_classes, **sizes, options=far)
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: SemTokConfig, paths: RunPaths, name: str) -> Generator:
    """A trained generator of a run, in evaluation mode."""
    model = build_generator(config, name, generator_record(paths, name)["num_classes"])
    load_module(model, paths.generator(name))
    return model.eval()


@dataclass(frozen=True)
class TokenGroups:
    """A token as several smaller numbers of these sizes, lowest first: groups of its bits, or of its levels.

    Example:
        >>> TokenGroups((4, 4)).split(torch.tensor([[0b0110]])).tolist()
        [[[2, 1]]]
    """

    sizes: tuple[int, ...]

    def split(self, tokens: Tensor) -> Tensor:
        """Tokens ``(B, N)`` as groups ``(B, N, G)``."""
        groups: Tensor = tokens[..., None] // self._places(tokens.device) % torch.tensor(self.sizes).to(tokens.device)
        return groups

    def join(self, groups: Tensor) -> Tensor:
        """Inverse of :meth:`split`."""
        tokens: Tensor = (groups * self._places(groups.device)).sum(dim=-1)
        return tokens

    def _places(self, device: torch.device) -> Tensor:
        return torch.tensor([1, *self.sizes[:-1]]).cumprod(dim=0).to(device)


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
        steps = steps_taken(settings.num_steps, settings, length=model.length, num_groups=model.num_units)
        options |= {"num_steps": steps, "observe": observe}
    with mixed_precision(labels.device, settings.mixed_precision):
        drawn: Tensor = model.sample(labels, generator=draws, **options)
    return groups.join(drawn)


def steps_taken(asked: int, settings: MaskedSampleConfig, *, length: int, num_groups: int) -> int:
    """How many of the steps asked for masked AR takes: each fixes a group of a token at least."""
    return min(asked, (settings.num_tokens or length) * num_groups)


def with_steps_taken(config: SemTokConfig, name: str, settings: MaskedSampleConfig) -> MaskedSampleConfig:
    """A sample set of generator ``name`` with the numbers of steps that are taken, each number of the study once."""
    sizes = {"length": config.tokenizer.num_tokens, "num_groups": config.generators[name].num_groups}
    compared = dict.fromkeys(steps_taken(asked, settings, **sizes) for asked in settings.progress_steps)
    steps = steps_taken(settings.num_steps, settings, **sizes)
    return settings.model_copy(update={"num_steps": steps, "progress_steps": tuple(compared)})


def token_groups(config: SemTokConfig, name: str) -> TokenGroups:
    """How a generator sees a token."""
    return TokenGroups(group_sizes(config.tokenizer.token_parts, config.generators[name].num_groups))
