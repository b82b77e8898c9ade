"""What a configuration says of each kind of generator, and of how it draws images."""

from typing import Annotated, Literal

from pydantic import Field

from semtok.quantizer import group_sizes
from semtok.tokenizer_config import TokenizerConfig
from vistok.workbench.generator_settings import check_guidance
from vistok.workbench.recipe_config import EntryName, SampleConfig
from vistok.workbench.training.generator_training import GeneratorConfig

_MOST_GROUP_BITS = 20  # a group is one softmax over 2 ** bits values


class MaskedSampleConfig(SampleConfig):
    """How masked AR draws images."""

    num_tokens: int | None = Field(None, ge=1)  # draw the first so many and decode these; none: all
    num_steps: int = Field(32, ge=1)  # a step fixes several tokens
    order: Literal["random", "confidence", "raster"] = "random"
    temperature: float = Field(1.0, ge=0)
    confidence_noise: float = Field(4.5, ge=0)  # with order "confidence"
    guidance: float = Field(3.0, ge=1)  # grows from 1 with the fraction of known tokens
    refresh_every: int = Field(1, ge=1)  # steps from one full pass to the next; above 1 faster and not exact
    progress_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 4, 8, 16), min_length=1)  # in the report
    progress_samples: int = Field(100, ge=1)


class FARSampleConfig(SampleConfig):
    """How FAR draws images."""

    num_tokens: int | None = Field(None, ge=1)  # stop after so many and decode these; none: all
    guidance: float = Field(2.0, ge=1)


AnySampleConfig = MaskedSampleConfig | FARSampleConfig


class MaskedConfig(GeneratorConfig):
    """Masked AR on groups of a token's bits."""

    kind: Literal["masked"]
    num_groups: int = Field(2, ge=1)  # groups of bits that a token is predicted in
    label_smoothing: float = Field(0.0, ge=0, lt=1)  # with order "random" it would be sampled as noise
    samples: dict[EntryName, MaskedSampleConfig] = Field({"default": MaskedSampleConfig()}, min_length=1)


class FARConfig(GeneratorConfig):
    """FAR with the groups of a token as its streams."""

    kind: Literal["far"]
    num_groups: int = Field(2, ge=1)  # groups of bits that a token is predicted in
    head_depth: int = Field(3, ge=1)  # blocks of the factorised head
    prefix_rotation: Literal["identity", "zero"] = "zero"  # of the class token; zero in the published networks
    samples: dict[EntryName, FARSampleConfig] = Field({"default": FARSampleConfig()}, min_length=1)


AnyGeneratorConfig = Annotated[MaskedConfig | FARConfig, Field(discriminator="kind")]


def check_generator(key: str, generator: MaskedConfig | FARConfig, tokenizer: TokenizerConfig) -> None:
    """Whether a generator, whose settings are at ``key``, takes these tokens, and draws as it was trained.

    Raises:
        ValueError: Its groups do not divide a token, or are too large; or a sample set draws more tokens than an image
            has, or is guided against what was never trained.
    """
    bits, parts, groups = tokenizer.bits, tokenizer.token_parts, generator.num_groups
    if len(parts) % groups:
        raise ValueError(f"{key}.num_groups: expected {tokenizer.quantizer.divisor_of(bits)}, got {groups}")
    if max(group_sizes(parts, groups)) > 2**_MOST_GROUP_BITS:
        raise ValueError(
            f"{key}.num_groups: expected groups of at most {_MOST_GROUP_BITS} bits, got {bits} bits in {groups}"
        )
    for label, drawing in generator.samples.items():
        if drawing.num_tokens and drawing.num_tokens > tokenizer.num_tokens:
            raise ValueError(
                f"{key}.samples.{label}.num_tokens: expected at most tokenizer.num_tokens = "
                f"{tokenizer.num_tokens}, got {drawing.num_tokens}"
            )
    check_guidance(key, generator, generator.samples)
