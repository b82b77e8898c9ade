"""The configuration of a SemTok run: one class a section, one YAML file a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from semtok.generator_config import AnyGeneratorConfig
from vistok.workbench import recipe_config
from vistok.workbench.config import Config, ConfigError, Seed
from vistok.workbench.recipe_config import (
    DataConfig,
    EntryName,
    PerceptualConfig,
    RunName,
    choose,
    load_recipe,
    other_than,
)
from vistok.workbench.training.loop import TrainConfig

CONFIGS = Path(__file__).parent / "configs"

GeneratorName = Annotated[EntryName, other_than("tokenizer", "refiner", "evaluation")]  # which have curves of their own

MOST_GROUP_BITS = 20  # a group is one softmax over 2 ** bits values

RefinerInput = Literal["constant", "noise", "sample"]
AlignedStreams = Literal["both", "patches", "queries"]


class TokenizerConfig(Config):
    """The networks. Sizes in pixels; with a latent space (``space_channels``) patches are cut from its latents."""

    image_channels: Literal[1, 3] = 3
    image_size: int = Field(256, ge=8)  # of training; other sizes interpolate the learned positions
    space_channels: int | None = Field(None, ge=1)  # channels of a latent space's latents; none: pixels
    space_stride: int = Field(1, ge=1)  # pixels a latent spans along each side
    patch_size: int = Field(8, ge=1)
    num_tokens: int = Field(256, ge=1)
    bits: int = Field(18, ge=2, le=62)  # of a token
    encoder_width: int = Field(1024, ge=8)
    encoder_depth: int = Field(12, ge=1)
    encoder_heads: int = Field(16, ge=1)
    decoder_width: int = Field(1536, ge=8)
    decoder_depth: int = Field(24, ge=1)
    decoder_heads: int = Field(24, ge=1)

    @property
    def channels(self) -> int:
        """Channels of what the networks see."""
        return self.space_channels or self.image_channels

    @property
    def working_size(self) -> int:
        """Side of what the networks see, in its own pixels."""
        return self.image_size // self.space_stride

    @property
    def stride(self) -> int:
        """Pixels a patch spans along each side."""
        return self.patch_size * self.space_stride

    @property
    def grid_size(self) -> int:
        """Patches along each side at the training resolution."""
        return self.image_size // self.stride

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.image_size % self.stride:
            raise ValueError(f"image_size: expected a multiple of the stride {self.stride}, got {self.image_size}")
        for name, width, heads in (
            ("encoder_width", self.encoder_width, self.encoder_heads),
            ("decoder_width", self.decoder_width, self.decoder_heads),
        ):
            if width % (4 * heads):
                raise ValueError(f"{name}: expected a multiple of 4 times {heads} heads, got {width}")
        if self.channels * self.patch_size**2 > self.decoder_width:
            # A velocity holds the noise of every value of a patch: through fewer channels it does not pass.
            raise ValueError(
                f"patch_size: expected patches of at most decoder_width = {self.decoder_width} values, "
                f"got {self.patch_size} x {self.patch_size} x {self.channels}"
            )
        return self


class AlignmentConfig(Config):
    """What the encoder's two streams are aligned to."""

    streams: AlignedStreams = "both"  # which of them: the image's patches, the queries that become tokens
    backbone: str = "lite0"
    weights: str | None = None  # the backbone's, a local file; none: the packaged ones, or timm's download or cache
    image_size: int = Field(128, ge=32)  # images are resized to this for the backbone
    hidden_width: int = Field(1024, ge=8)  # of the heads
    queries: Literal["features", "codes"] = "features"  # the query stream before quantization, or after it
    cache: bool = True  # compute the features once, before training; else at every step


class LossConfig(PerceptualConfig):
    """Stage I: the weights, and what each term leaves open."""

    flow_weight: float = Field(1.0, ge=0)
    uniform_times: float = Field(0.1, ge=0, le=1)  # share of times that are uniform and not logit-normal
    time_shift: float = Field(1.0, gt=0)  # s in t -> s t / (1 + (s - 1) t): above 1 times are nearer to the noise
    condition_dropout: float = Field(0.1, ge=0, le=1)  # share of images whose tokens are all hidden
    suffix_dropout: float = Field(0.0, ge=0, le=1)  # share of images of whose tokens a random suffix is hidden
    perceptual_weight: float = Field(0.1, ge=0)  # on the one-step estimate
    entropy_weight: float = Field(0.0025, ge=0)
    entropy_temperature: float = Field(0.1, gt=0)
    entropy_codebook_weight: float = Field(1.0, ge=0)
    entropy_of: Literal["codes", "bits"] = "codes"  # joint codes over all positions, or each bit of each position
    entropy_group_bits: int = Field(9, ge=1, le=24)  # of "codes"
    alignment_weight: float = Field(0.5, ge=0)  # 0: no alignment, and no backbone

    @model_validator(mode="after")
    def _shares_are_shares(self) -> Self:
        if self.condition_dropout + self.suffix_dropout > 1:
            raise ValueError(
                "suffix_dropout: expected at most 1 together with condition_dropout, "
                f"got {self.condition_dropout} + {self.suffix_dropout}"
            )
        return self


class TokenizerTrainConfig(TrainConfig):
    """Stage I's optimisation."""

    init_from: str | None = None  # where to start, as for fine-tuning: a checkpoint, a folder of them, or a tokenizer


class RefinerConfig(PerceptualConfig):
    """Stage II: what the one-step network starts from, and its loss."""

    input: RefinerInput = "constant"
    reconstruction: Literal["l1", "l2"] = "l1"
    reconstruction_weight: float = Field(1.0, ge=0)
    adversarial_weight: float = Field(0.1, ge=0)
    adversarial_kind: Literal["hinge", "non_saturating", "vanilla"] = "hinge"
    discriminator_start: int = Field(15_000, ge=0)


class DiscriminatorConfig(Config):
    """PatchGAN."""

    base_width: int = Field(64, ge=4)
    num_layers: int = Field(3, ge=1)
    norm: Literal["batch", "group", "none"] = "batch"


class SamplerConfig(Config):
    """Stage I's sampler: Euler on the grid ``(j / steps) ** power``, guided while low <= t <= high."""

    num_steps: int = Field(25, ge=1)
    power: float = Field(4.0, gt=0)
    guidance: float = Field(1.5, ge=0)
    guidance_low: float = Field(0.145, ge=0, le=1)
    guidance_high: float = Field(0.505, ge=0, le=1)

    @model_validator(mode="after")
    def _interval_is_one(self) -> Self:
        if self.guidance_low > self.guidance_high:
            raise ValueError(
                f"guidance_low: expected at most guidance_high = {self.guidance_high}, got {self.guidance_low}"
            )
        return self


class ReconstructConfig(Config):
    """Which reconstructions of the validation images are made."""

    stage_one_steps: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5, 25)
    noise_seeds: int = Field(4, ge=2)
    noise_images: int = Field(64, ge=2)


class EvaluateConfig(recipe_config.EvaluateConfig):
    """What is measured."""

    meaning: bool = False  # what tokens mean: other noise, swapped tokens, bits and class, probes of plain codes
    codecs: bool = False  # principal components, WebP and JPEG beside the tokenizer's bits and distortion


class SemTokConfig(Config):
    """A whole run."""

    name: RunName = "semtok"
    seed: Seed = 0
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    losses: LossConfig = LossConfig()
    train: TokenizerTrainConfig
    sampler: SamplerConfig = SamplerConfig()
    refiner: RefinerConfig = RefinerConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    train_refiner: TrainConfig
    generators: dict[GeneratorName, AnyGeneratorConfig] = Field(min_length=1)
    reconstruct: ReconstructConfig = ReconstructConfig()
    evaluations: dict[EntryName, EvaluateConfig] = Field({"default": EvaluateConfig()}, min_length=1)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.data.image_size != self.tokenizer.image_size:
            raise ValueError(
                f"tokenizer.image_size: expected data.image_size = {self.data.image_size}, "
                f"got {self.tokenizer.image_size}"
            )
        if self.data.random_crop and self.alignment.cache and self.losses.alignment_weight:
            raise ValueError("alignment.cache: expected false with data.random_crop (it holds whole images)")
        bits = self.tokenizer.bits
        for name, generator in self.generators.items():
            groups = generator.num_groups
            if bits % groups:
                raise ValueError(
                    f"generators.{name}.num_groups: expected a divisor of tokenizer.bits = {bits}, got {groups}"
                )
            if bits // groups > MOST_GROUP_BITS:
                raise ValueError(
                    f"generators.{name}.num_groups: expected groups of at most {MOST_GROUP_BITS} bits, "
                    f"got {bits} bits in {groups}"
                )
        return self


def choose_generator(config: SemTokConfig, asked: str | None) -> str:
    """The generator that an option names.

    Raises:
        ConfigError: There is none of that name; for xAR the message says why SemTok's tokens are nothing for it.
    """
    if asked == "xar" and "xar" not in config.generators:
        raise ConfigError(
            f"generator xar: expected one of {', '.join(config.generators)}; xAR generates cells of a grid of "
            f"continuous latents, and SemTok's {config.tokenizer.num_tokens} tokens of {config.tokenizer.bits} bits "
            "are a sequence"
        )
    return choose(config.generators, asked, what="generator")


def load(name: str, overrides: Sequence[str] = (), *, values: Mapping[str, Any] | None = None) -> SemTokConfig:
    """Read a shipped configuration or a file; the rest as in :func:`vistok.workbench.config.load_config`."""
    return load_recipe(SemTokConfig, CONFIGS, name, overrides, values=values)
