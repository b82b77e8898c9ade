"""The settings of the three generators that draw grids of tokens or codes, and of their samples: xAR, FAR, masked AR.

A recipe whose kinds differ from these has its own, or subclasses them.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from vistok.workbench.recipe_config import EntryName, SampleConfig
from vistok.workbench.training.generator_training import GeneratorConfig


def check_guidance(key: str, generator: GeneratorConfig, samples: Mapping[str, Any]) -> None:
    """Whether no set of samples is guided against a null label that was never trained.

    Args:
        key: Where the generator's settings are.
        generator: They.
        samples: Its sets, by name; each has ``guidance``.

    Raises:
        ValueError: One is.
    """
    for label, drawing in samples.items():
        if not generator.label_dropout and drawing.guidance != 1:
            raise ValueError(
                f"{key}.samples.{label}.guidance: expected 1 with {key}.label_dropout 0, which trains nothing to guide "
                f"against, got {drawing.guidance}"
            )


class XARSampleConfig(SampleConfig):
    """How xAR draws images."""

    num_steps: int = Field(40, ge=1)  # of the solver, a cell
    guidance: float = Field(2.7, ge=1)
    guidance_schedule: Literal["linear", "constant"] = "linear"  # over the cells: from 1 up, or the same for all
    snap: bool = True  # replace each sampled code by the nearest one before it is decoded


class FARSampleConfig(SampleConfig):
    """How FAR draws images."""

    guidance: float = Field(2.0, ge=1)


class MaskedSampleConfig(SampleConfig):
    """How masked AR draws images."""

    num_steps: int = Field(16, ge=1)
    guidance: float = Field(3.0, ge=1)  # grows from 1 with the fraction of known tokens
    refresh_every: int = Field(1, ge=1)  # steps from one full pass to the next; above 1 faster and not exact


class XARConfig(GeneratorConfig):
    """xAR on latents."""

    kind: Literal["xar"]
    cell_size: int = Field(8, ge=1)  # tokens along each side of a cell
    gate: Literal["gelu", "silu"] = "gelu"  # of the feed-forward blocks; the published networks have gelu
    integer_time: bool = True  # truncate 1000 t before embedding it, as the published networks do
    samples: dict[EntryName, XARSampleConfig] = Field({"default": XARSampleConfig()}, min_length=1)


class FARConfig(GeneratorConfig):
    """FAR on one or more streams of tokens."""

    kind: Literal["far"]
    head_depth: int = Field(3, ge=1)  # blocks of the factorised head
    prefix_rotation: Literal["identity", "zero"] = "zero"  # of the class token; zero in the published networks
    samples: dict[EntryName, FARSampleConfig] = Field({"default": FARSampleConfig()}, min_length=1)


class MaskedConfig(GeneratorConfig):
    """Masked AR on one or more streams of tokens."""

    kind: Literal["masked"]
    samples: dict[EntryName, MaskedSampleConfig] = Field({"default": MaskedSampleConfig()}, min_length=1)
