"""The configuration of a SemTok run: one class a section, one YAML file a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from semtok.generator_config import AnyGeneratorConfig, check_generator
from semtok.tokenizer_config import Prediction, TokenizerConfig
from vistok.losses.adversarial import AdversarialKind
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

PIXELS, AUTOENCODER = "pixels", "autoencoder:"

GeneratorName = Annotated[EntryName, other_than("tokenizer", "refiner", "evaluation")]  # which have curves of their own

RefinerInput = Literal["constant", "noise", "sample"]
NestedSets = Literal["prefix", "scattered", "both"]
NestedLengths = Literal["log_uniform", "uniform"]
RefinerKind = Literal["constant", "noise", "sample", "sampler", "mean_flow"]  # the input, or what takes a few steps
AlignedStreams = Literal["both", "patches", "queries"]


class AlignmentConfig(Config):
    """What the encoder's two streams are aligned to."""

    streams: AlignedStreams = "both"  # which of them: the image's patches, the queries that become tokens
    backbone: str = "lite0"
    weights: str | None = None  # the backbone's, a local file; none: the packaged ones, or timm's download or cache
    image_size: int = Field(128, ge=32)  # images are resized to this for the backbone
    hidden_width: int = Field(1024, ge=8)  # of the heads
    queries: Literal["features", "codes"] = "features"  # the query stream before quantization, or after it
    query_target: Literal["pooled", "patches", "both"] = "pooled"  # which of the backbone's features it is aligned to
    decoder_block: int | None = Field(None, ge=1)  # whose patches are aligned, too (REPA), counted from 1; none: none
    cache: bool = True  # compute the features once, before training; else at every step

    @model_validator(mode="after")
    def _queries_are_aligned(self) -> Self:
        for name, plain in (("queries", "features"), ("query_target", "pooled")):
            if self.streams == "patches" and getattr(self, name) != plain:
                raise ValueError(f"{name}: expected {plain} with streams patches, got {getattr(self, name)}")
        return self


class LossConfig(PerceptualConfig):
    """Stage I: the weights, and what each term leaves open."""

    flow_weight: float = Field(1.0, ge=0)
    flow_loss_space: Prediction = "velocity"  # whose squared error that is, whatever is predicted: a weight by the time
    uniform_times: float = Field(0.1, ge=0, le=1)  # share of times that are uniform and not logit-normal
    time_shift: float = Field(1.0, gt=0)  # s in t -> s t / (1 + (s - 1) t): above 1 times are nearer to the noise
    time_shift_final: float | None = Field(None, gt=0)  # of the last step, to which it goes in equal factors
    condition_dropout: float = Field(0.1, ge=0, le=1)  # share of images whose tokens are all hidden
    suffix_dropout: float = Field(0.0, ge=0, le=1)  # share of images of whose tokens a random suffix is hidden
    nested_weight: float = Field(0.0, ge=0)  # on flow and perceptual term from some of the tokens, in the same step
    nested_sets: NestedSets = "prefix"  # which these are; in stage II too
    nested_lengths: NestedLengths = "log_uniform"  # and how many
    perceptual_weight: float = Field(0.1, ge=0)  # on the one-step estimate
    quantization_weight: float = Field(1.0, ge=0)  # commitment to codes and the codebook's own term; lfq and vector
    beta: float = Field(0.25, ge=0)  # of the commitment
    entropy_weight: float = Field(0.0025, ge=0)  # bsq and lfq
    entropy_temperature: float = Field(0.1, gt=0)
    entropy_codebook_weight: float = Field(1.0, ge=0)
    entropy_of: Literal["codes", "bits"] = "codes"  # joint codes over all positions, or each bit of each position
    entropy_group_bits: int = Field(9, ge=1, le=24)  # of "codes"
    alignment_weight: float = Field(0.5, ge=0)  # 0: no alignment, and no backbone
    decoder_alignment_weight: float = Field(0.5, ge=0)  # with alignment.decoder_block

    @model_validator(mode="after")
    def _shares_are_shares(self) -> Self:
        if self.condition_dropout + self.suffix_dropout > 1:
            raise ValueError(
                "suffix_dropout: expected at most 1 together with condition_dropout, "
                f"got {self.condition_dropout} + {self.suffix_dropout}"
            )
        return self


class TokenizerTrainConfig(TrainConfig):
    """Stage I's optimisation, and how a learned codebook is kept alive."""

    init_from: str | None = None  # where to start, as for fine-tuning: a checkpoint, a folder of them, or a tokenizer
    codebook_start: Literal["k_means", "random"] = "k_means"  # of features; quantizer vector
    revive_every: int = Field(0, ge=0)  # steps between replacements of codes that no feature chose; 0: never
    revive_until: float = Field(0.9, ge=0, le=1)  # fraction of the steps after which codes are left alone

    def revives_after(self, step: int) -> bool:
        """Whether unused codes are replaced after this step."""
        done = step + 1
        return bool(self.revive_every) and done % self.revive_every == 0 and done < self.revive_until * self.steps


class RefinerConfig(PerceptualConfig):
    """Stage II: how the network of one step, or of a few, is trained, what it starts from, and its loss."""

    objective: Literal["reconstruction", "sampler", "mean_flow"] = "reconstruction"
    input: RefinerInput = "constant"  # of "reconstruction"; the others start from noise
    num_steps: int = Field(1, ge=1)  # calls of the network, of "sampler" and "mean_flow"
    interval_share: float = Field(0.25, ge=0, le=1)  # of "mean_flow": images of two times; the others' are the same
    reconstruction: Literal["l1", "l2"] = "l1"
    reconstruction_weight: float = Field(1.0, ge=0)
    adversarial_weight: float = Field(0.1, ge=0)
    nested_weight: float = Field(0.0, ge=0)  # on the first two terms from some of the tokens, in the same step
    adversarial_kind: AdversarialKind = "hinge"
    discriminator_start: int = Field(15_000, ge=0)

    @property
    def kind(self) -> RefinerKind:
        """What the refiner is."""
        return self.input if self.objective == "reconstruction" else self.objective

    @property
    def compares_images(self) -> bool:
        """Whether its terms are those of images, with an adversary; mean flow has one of its own, of velocities."""
        return self.objective != "mean_flow"

    @model_validator(mode="after")
    def _objective_fits(self) -> Self:
        if self.objective == "reconstruction" and self.num_steps > 1:
            raise ValueError(f"num_steps: expected 1 with objective reconstruction, got {self.num_steps}")
        if self.objective != "reconstruction" and self.input == "sample":
            raise ValueError(f"input: expected noise with objective {self.objective}, which starts from it, got sample")
        if not self.compares_images and self.nested_weight:
            raise ValueError(f"nested_weight: expected 0 with objective {self.objective}, got {self.nested_weight}")
        return self


class DiscriminatorConfig(Config):
    """PatchGAN, or light heads over the feature maps of a frozen backbone; LeCam beside its loss."""

    kind: Literal["patchgan", "features"] = "patchgan"
    base_width: int = Field(64, ge=4)  # of patchgan; so are the next two
    num_layers: int = Field(3, ge=1)
    norm: Literal["batch", "group", "none"] = "batch"
    backbone: str = "lite0"  # of features; so are the next three
    weights: str | None = None  # the backbone's, a local file; none: the packaged ones, or timm's download or cache
    stages: int = Field(3, ge=1)
    kernel_size: int = Field(9, ge=1)  # of a head's wide convolution, odd
    lecam_weight: float = Field(0.0, ge=0)  # logits near the running mean of the other side; with few images
    lecam_decay: float = Field(0.999, ge=0, lt=1)
    lecam_form: Literal["paper", "lecam_gan", "maskbit"] = "paper"


class SamplerConfig(Config):
    """Stage I's sampler: Euler on the grid ``(j / steps) ** power``, guided while low <= t <= high."""

    num_steps: int = Field(25, ge=1)
    power: float = Field(4.0, gt=0)
    guidance: float = Field(1.5, ge=0)
    guidance_low: float = Field(0.145, ge=0, le=1)
    guidance_high: float = Field(0.505, ge=0, le=1)
    jump_at: float | None = Field(None, gt=0, lt=1)  # from the grid's first time at or below it one step to the image

    @model_validator(mode="after")
    def _interval_is_one(self) -> Self:
        if self.guidance_low > self.guidance_high:
            raise ValueError(
                f"guidance_low: expected at most guidance_high = {self.guidance_high}, got {self.guidance_low}"
            )
        return self


class ReconstructConfig(Config):
    """Which reconstructions of the validation images are made."""

    stage_one_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 25), min_length=1)
    noise_seeds: int = Field(4, ge=2)
    noise_images: int = Field(64, ge=2)
    lengths: tuple[Annotated[int, Field(ge=1)], ...] | None = None  # of the curve, in tokens; none: 1, 2, 4, ...
    wanted_psnr: tuple[float, ...] | None = None  # for the fewest tokens of each image; none: that of half


class EvaluateConfig(recipe_config.EvaluateConfig):
    """What is measured."""

    meaning: bool = False  # what tokens mean: other noise, swapped tokens, bits and class, probes of plain codes
    codecs: bool = False  # principal components, WebP and JPEG beside the tokenizer's bits and distortion


class SemTokConfig(Config):
    """A whole run."""

    name: RunName = "semtok"
    seed: Seed = 0
    data: DataConfig = DataConfig()
    space: str = PIXELS  # or autoencoder:FOLDER, the latents of diffusers' AutoencoderKL that is saved there
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

    @property
    def aligned(self) -> bool:
        """Whether stage I needs the backbone's features."""
        return bool(self.losses.alignment_weight or self.alignment.decoder_block)

    @field_validator("space")
    @classmethod
    def _space_is_known(cls, space: str) -> str:
        if space != PIXELS and not (space.startswith(AUTOENCODER) and space.removeprefix(AUTOENCODER).strip()):
            raise ValueError(f"expected {PIXELS} or {AUTOENCODER}FOLDER, got {space!r}")
        return space

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.data.image_size != self.tokenizer.image_size:
            raise ValueError(
                f"tokenizer.image_size: expected data.image_size = {self.data.image_size}, "
                f"got {self.tokenizer.image_size}"
            )
        block, depth = self.alignment.decoder_block, self.tokenizer.decoder_depth
        if block is not None and block > depth:
            raise ValueError(
                f"alignment.decoder_block: expected at most tokenizer.decoder_depth = {depth}, got {block}"
            )
        if self.data.random_crop and self.alignment.cache and self.aligned:
            raise ValueError("alignment.cache: expected false with data.random_crop (it holds whole images)")
        if block is not None and not self.losses.decoder_alignment_weight:
            raise ValueError(
                f"losses.decoder_alignment_weight: expected more than 0 with alignment.decoder_block {block}, got 0"
            )
        if not self.losses.condition_dropout and self.sampler.guidance != 1:
            raise ValueError(
                "sampler.guidance: expected 1 with losses.condition_dropout 0, which trains nothing to guide against, "
                f"got {self.sampler.guidance}"
            )
        for section in ("losses", "refiner"):
            weight = getattr(self, section).nested_weight
            if weight and self.tokenizer.num_tokens < 2:
                raise ValueError(f"{section}.nested_weight: expected 0 for images of a single token, got {weight}")
        if self.reconstruct.lengths and max(self.reconstruct.lengths) > self.tokenizer.num_tokens:
            raise ValueError(
                f"reconstruct.lengths: expected at most tokenizer.num_tokens = {self.tokenizer.num_tokens}, "
                f"got {max(self.reconstruct.lengths)}"
            )
        for switch, plain in (("compile", "false"), ("checkpoint_activations", "false"), ("sharding", "none")):
            given = str(getattr(self.train_refiner, switch)).lower()
            if self.refiner.objective == "mean_flow" and given != plain:
                raise ValueError(
                    f"train_refiner.{switch}: expected {plain} with refiner.objective mean_flow, got {given}"
                )
        for name, generator in self.generators.items():
            check_generator(f"generators.{name}", generator, self.tokenizer)
        return self


def choose_generator(config: SemTokConfig, asked: str | None) -> str:
    """The generator that an option names.

    Raises:
        ConfigError: There is none of that name; for xAR the message says why SemTok's tokens are nothing for it.
    """
    if asked == "xar" and "xar" not in config.generators:
        raise ConfigError(
            f"generator xar: expected one of {', '.join(config.generators)}; xAR generates cells of a grid of "
            f"continuous latents, and SemTok's {config.tokenizer.num_tokens} tokens of {config.tokenizer.token_words} "
            "are a sequence"
        )
    return choose(config.generators, asked, what="generator")


def load(name: str, overrides: Sequence[str] = (), *, values: Mapping[str, Any] | None = None) -> SemTokConfig:
    """Read a shipped configuration or a file; the rest as in :func:`vistok.workbench.config.load_config`."""
    return load_recipe(SemTokConfig, CONFIGS, name, overrides, values=values)
