"""The configuration of a VQGAN run: one class a section, one YAML file a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vistok.losses.adversarial import AdversarialKind
from vistok.workbench import generator_settings, recipe_config
from vistok.workbench.config import Config, Seed
from vistok.workbench.generator_settings import (
    FARConfig,
    FARSampleConfig,
    MaskedSampleConfig,
    XARConfig,
    XARSampleConfig,
    check_guidance,
)
from vistok.workbench.recipe_config import (
    DataConfig,
    EntryName,
    PerceptualConfig,
    RunName,
    other_than,
)
from vistok.workbench.training.loop import TrainConfig
from vqgan.quantizer import AnyQuantizerConfig, BitsConfig, FiniteScalarConfig, ResidualConfig, VectorConfig

CONFIGS = Path(__file__).parent / "configs"

GeneratorName = Annotated[EntryName, other_than("tokenizer", "evaluation")]  # which have curves of their own


class TokenizerConfig(Config):
    """The network."""

    image_channels: Literal[1, 3] = 3
    base_channels: int = Field(128, ge=4)
    multipliers: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 1, 2, 2, 4), min_length=1)  # of each level
    num_blocks: int = Field(2, ge=1)
    latent_channels: int = Field(256, ge=1)  # before the 1x1 convolution to the code, and at the decoder's input
    image_size: int = Field(256, ge=8)  # of training; any multiple of the stride will do afterwards
    quantizer: AnyQuantizerConfig = VectorConfig()

    @property
    def stride(self) -> int:
        """Pixels a token spans along each side."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def grid_size(self) -> int:
        """Tokens along each side at the training resolution."""
        return self.image_size // self.stride

    @model_validator(mode="after")
    def _image_is_a_multiple_of_the_stride(self) -> Self:
        if self.image_size % self.stride:
            raise ValueError(f"image_size: expected a multiple of the stride {self.stride}, got {self.image_size}")
        return self


class LossConfig(PerceptualConfig):
    """The weights of the terms, and what each leaves open."""

    reconstruction_weight: float = Field(1.0, ge=0)
    chroma_weight: float = Field(0.0, ge=0)  # colours once more, beside the pixels; for colour images
    quantization_weight: float = Field(1.0, ge=0)
    beta: float = Field(0.25, ge=0)
    adversarial_weight: float = Field(0.5, ge=0)
    adversarial_kind: AdversarialKind = "hinge"
    discriminator_start: int = Field(20_000, ge=0)
    entropy_weight: float | None = Field(None, ge=0)  # none: as the kind of quantizer needs it
    entropy_temperature: float = Field(0.01, gt=0)
    entropy_codebook_weight: float = Field(1.0, ge=0)  # of the even use of all codes, beside the sureness of each token


class DiscriminatorConfig(Config):
    """PatchGAN."""

    base_width: int = Field(64, ge=4)
    num_layers: int = Field(3, ge=1)
    norm: Literal["batch", "group", "none"] = "batch"


class TokenizerTrainConfig(TrainConfig):
    """The tokenizer's optimisation, and how a codebook is kept alive."""

    init_from: str | None = None  # where to start, as for fine-tuning: a checkpoint, a folder of them, or a tokenizer
    codebook_start: Literal["k_means", "random"] = "k_means"  # of features; vector and residual
    revive_every: int = Field(0, ge=0)  # steps between replacements of codes that no feature chose (vector); 0: never
    revive_until: float = Field(0.9, ge=0, le=1)  # fraction of the steps after which codes are left alone

    def revives_after(self, step: int) -> bool:
        """Whether unused codes are replaced after this step."""
        done = step + 1
        return bool(self.revive_every) and done % self.revive_every == 0 and done < self.revive_until * self.steps


AnySampleConfig = XARSampleConfig | FARSampleConfig | MaskedSampleConfig


class MaskedConfig(generator_settings.MaskedConfig):
    """Masked AR on the streams of tokens, or on their bits."""

    num_groups: int | None = Field(None, ge=1)  # predict a token's bits in so many groups: of quantizers lfq and bsq


AnyGeneratorConfig = Annotated[XARConfig | FARConfig | MaskedConfig, Field(discriminator="kind")]


class EvaluateConfig(recipe_config.EvaluateConfig):
    """What is measured."""

    uniformity_points: int = Field(1000, ge=50)
    uniformity_repeats: int = Field(1, ge=1)


class VQGANConfig(Config):
    """A whole run."""

    name: RunName = "demo"
    seed: Seed = 0
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    losses: LossConfig = LossConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    train: TokenizerTrainConfig
    generators: dict[GeneratorName, AnyGeneratorConfig] = Field(min_length=1)
    evaluations: dict[EntryName, EvaluateConfig] = Field({"default": EvaluateConfig()}, min_length=1)

    @model_validator(mode="after")
    def _images_fit_the_network(self) -> Self:
        if self.data.image_size != self.tokenizer.image_size:
            raise ValueError(
                f"tokenizer.image_size: expected data.image_size = {self.data.image_size}, "
                f"got {self.tokenizer.image_size}"
            )
        quantizer = self.tokenizer.quantizer
        if self.losses.entropy_weight and isinstance(quantizer, FiniteScalarConfig | ResidualConfig):
            raise ValueError(
                f"losses.entropy_weight: expected 0 for {quantizer.kind}, got {self.losses.entropy_weight}"
            )
        if self.losses.chroma_weight and self.tokenizer.image_channels == 1:
            raise ValueError(f"losses.chroma_weight: expected 0 for grey images, got {self.losses.chroma_weight}")
        for name, generator in self.generators.items():
            check_guidance(f"generators.{name}", generator, generator.samples)
            if isinstance(generator, XARConfig) and self.tokenizer.grid_size % generator.cell_size:
                raise ValueError(
                    f"generators.{name}.cell_size: expected a divisor of the token grid {self.tokenizer.grid_size}, "
                    f"got {generator.cell_size}"
                )
            groups = generator.num_groups if isinstance(generator, MaskedConfig) else None
            bits = quantizer.bits if isinstance(quantizer, BitsConfig) else 0
            if groups and (not bits or bits % groups):
                expected = f"a divisor of {bits} bits" if bits else f"none for quantizer {quantizer.kind}"
                raise ValueError(f"generators.{name}.num_groups: expected {expected}, got {groups}")
        return self


def load(name: str, overrides: Sequence[str] = (), *, values: Mapping[str, Any] | None = None) -> VQGANConfig:
    """Read a shipped configuration or a file; the rest as in :func:`vistok.workbench.config.load_config`."""
    return recipe_config.load_recipe(VQGANConfig, CONFIGS, name, overrides, values=values)
