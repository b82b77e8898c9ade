"""The configuration of a GloTok run: one class a section, one YAML file a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vistok.losses.adversarial import AdversarialKind
from vistok.workbench import recipe_config
from vistok.workbench.config import Config, Seed
from vistok.workbench.generator_settings import (
    FARConfig,
    FARSampleConfig,
    MaskedConfig,
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

CONFIGS = Path(__file__).parent / "configs"

GeneratorName = Annotated[EntryName, other_than("tokenizer", "evaluation")]  # which have curves of their own


class TeacherConfig(Config):
    """Where the teacher's token set comes from."""

    source: Literal["backbone", "checkpoint", "random"] = "backbone"
    backbone: str = "lite0"  # contrastive alignment predicts its features, too
    weights: str | None = None  # the backbone's, a local file; none: the packaged ones, or timm's download or cache
    image_size: int = Field(128, ge=32)  # images are resized to this for the backbone
    num_images: int = Field(1000, ge=1)  # drawn from the training images
    pool_grid: int = Field(4, ge=1)  # each image gives pool_grid x pool_grid vectors
    stage: int | None = Field(None, ge=1)  # of the backbone, from 1, whose features are clustered; none: its last ones
    centre: bool = False  # take their mean from the features before k-means
    checkpoint: str | None = None  # with source "checkpoint": a .safetensors or .pt file ...
    key: str | None = None  # ... and the name of a 2-D tensor in it
    dimension: int | None = Field(None, ge=2)  # of random vectors; none: that of the backbone's features

    @model_validator(mode="after")
    def _settings_belong_to_the_source(self) -> Self:
        if self.source == "checkpoint" and not (self.checkpoint and self.key):
            raise ValueError("source checkpoint needs both checkpoint and key")
        if self.centre and self.source != "backbone":
            raise ValueError(f"centre: expected source backbone, whose features are centred, got {self.source}")
        if self.dimension is not None and self.source != "random":
            raise ValueError(f"dimension: expected source random, which has no other, got {self.source}")
        return self


class TokenizerConfig(Config):
    """The network."""

    image_channels: Literal[1, 3] = 3
    base_channels: int = Field(128, ge=4)
    multipliers: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 1, 2, 2, 4), min_length=1)  # of each level
    num_blocks: int = Field(2, ge=1)
    adapter_depth: int = Field(6, ge=0)
    adapter_heads: int = Field(8, ge=1)
    latent_channels: int = Field(256, ge=8)  # between the adapters' blocks and the codes, and at the decoder's input
    image_size: int = Field(256, ge=8)  # of training; other sizes interpolate the learned positions
    code_dim: int = Field(8, ge=2)
    semantic_codebook_size: int = Field(4096, ge=2)
    visual_codebook_size: int = Field(12288, ge=2)
    residual_width: int = Field(256, ge=8)
    residual_heads: int = Field(8, ge=1)
    residual: bool = True

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


class RepresentationConfig(Config):
    """The head that predicts a backbone's feature of the image from its semantic codes; sizes of FQGAN's."""

    width: int = Field(1024, ge=8)
    depth: int = Field(3, ge=1)
    num_heads: int = Field(8, ge=1)
    temperature: float = Field(1.0, gt=0)  # of the contrastive loss


class LossConfig(PerceptualConfig):
    """Equation 13: the weights, and what each term leaves open."""

    alignment: Literal["none", "histogram", "contrastive"] = "histogram"  # how the semantic codebook gets its meaning
    reconstruction_weight: float = Field(1.0, ge=0)
    chroma_weight: float = Field(0.0, ge=0)  # colours once more, beside the pixels; for colour images
    quantization_weight: float = Field(1.0, ge=0)
    beta: float = Field(0.25, ge=0)
    entropy_weight: float = Field(0.0, ge=0)  # of both codebooks: features sure of their code, all codes in use
    entropy_temperature: float = Field(0.01, gt=0)
    adversarial_weight: float = Field(0.5, ge=0)
    adversarial_kind: AdversarialKind = "hinge"
    discriminator_start: int = Field(20_000, ge=0)
    residual_weight: float = Field(0.5, ge=0)
    residual_norm: Literal["squared", "l1", "norm"] = "squared"  # equation 10 has no exponent; "norm" is of each image
    residual_code: Literal["detached", "attached"] = "detached"  # attached, as printed: it trains the codes too
    histogram_weight: float = Field(0.01, ge=0)
    histogram_bins: int = Field(40, ge=2)
    histogram_alpha: float = Field(190.0, gt=0)
    histogram_norm: Literal["l1", "l2"] = "l1"
    histogram_include_diagonal: bool = False  # equation 4 as printed (i <= j) counts each code against itself too
    representation_weight: float = Field(0.5, ge=0)  # with contrastive alignment
    disentanglement_weight: float = Field(0.1, ge=0)  # with contrastive alignment

    @property
    def histogram(self) -> dict[str, Any]:
        """How relations are counted: the options of the histogram and of its loss."""
        return {
            "bins": self.histogram_bins,
            "alpha": self.histogram_alpha,
            "norm": self.histogram_norm,
            "include_diagonal": self.histogram_include_diagonal,
        }


class DiscriminatorConfig(Config):
    """PatchGAN."""

    base_width: int = Field(64, ge=4)
    num_layers: int = Field(3, ge=1)
    norm: Literal["batch", "group", "none"] = "batch"


class TokenizerTrainConfig(TrainConfig):
    """The tokenizer's optimisation, and how its codebooks are kept alive."""

    init_from: str | None = None  # where to start, as for fine-tuning: a checkpoint, a folder of them, or a tokenizer
    codebook_start: Literal["k_means", "random"] = "k_means"  # of the untrained encoder's features
    revive_every: int = Field(0, ge=0)  # steps between replacements of codes that no feature chose; 0: never
    revive_until: float = Field(0.9, ge=0, le=1)  # fraction of the steps after which codes are left alone

    def revives_after(self, step: int) -> bool:
        """Whether unused codes are replaced after this step."""
        done = step + 1
        return bool(self.revive_every) and done % self.revive_every == 0 and done < self.revive_until * self.steps


AnySampleConfig = XARSampleConfig | FARSampleConfig | MaskedSampleConfig
AnyGeneratorConfig = Annotated[XARConfig | FARConfig | MaskedConfig, Field(discriminator="kind")]


class EvaluateConfig(recipe_config.EvaluateConfig):
    """What is measured."""

    uniformity_points: int = Field(1000, ge=50)
    uniformity_repeats: int = Field(1, ge=1)
    retention_images: int = Field(1000, ge=1)  # validation images decoded from parts of their features, at most
    frequency_cut: float = Field(0.25, gt=0, lt=1)  # between low and high spatial frequencies; 1 is Nyquist's


class GloTokConfig(Config):
    """A whole run."""

    name: RunName = "demo"
    seed: Seed = 0
    data: DataConfig = DataConfig()
    teacher: TeacherConfig = TeacherConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    losses: LossConfig = LossConfig()
    representation: RepresentationConfig = RepresentationConfig()
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
        if self.losses.alignment == "contrastive" and self.teacher.source != "backbone":
            raise ValueError(
                f"teacher.source: expected backbone, which contrastive alignment looks at, got {self.teacher.source}"
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
        return self


def load(name: str, overrides: Sequence[str] = (), *, values: Mapping[str, Any] | None = None) -> GloTokConfig:
    """Read a shipped configuration or a file; the rest as in :func:`vistok.workbench.config.load_config`."""
    return recipe_config.load_recipe(GloTokConfig, CONFIGS, name, overrides, values=values)
