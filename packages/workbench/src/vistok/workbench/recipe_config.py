"""Sections that the configurations of recipes share, and how a recipe's shipped files are found."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from vistok.metrics.images.decoding import LARGEST_MAX_PIXELS, MAX_PIXELS
from vistok.workbench.config import Config, ConfigError, ConfigT, MixedPrecision, load_config
from vistok.workbench.data import STREAMING_LIMIT, ImageSplits, SourceDescription, describe_source, load_images
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.resize import NUMBERS
from vistok.workbench.data.resized_crop import NUMBERS as NUMBERS_OF_RESIZED
from vistok.workbench.data.resized_crop import SCALE
from vistok.workbench.run.folder import plain_name
from vistok.workbench.run.inventory import Inventory
from vistok.workbench.tokens.variants import FLIPS, UNFLIPPED, Variants, ten_crop

RunName = Annotated[str, AfterValidator(plain_name)]
"""The name of a run: that of its folder."""

_ENTRY = re.compile(r"(?=.{1,60}\Z)[A-Za-z0-9]+([-_][A-Za-z0-9]+)*")


def _entry_name(name: str) -> str:
    if not _ENTRY.fullmatch(name):
        raise ValueError(f"expected a name of letters and digits, - or _ between them, got {name[:80]!r}")
    return name


def other_than(*taken: str) -> AfterValidator:
    """The check of a name that it is none of those that curves and checkpoints of other stages have."""

    def check(name: str) -> str:
        if name in taken:
            raise ValueError(f"expected another name than {', '.join(taken)}, got {name!r}")
        return name

    return AfterValidator(check)


EntryName = Annotated[str, AfterValidator(_entry_name)]
"""The name of a generator, a sample set or an evaluation: part of the names of its files."""


class DataConfig(Config):
    """Which images."""

    switches: ClassVar[tuple[str, ...]] = ("workers", "streaming_gb")

    source: str = "digits"  # or "openmoji", an image folder, Parquet or tar files, a hub data set (org/name)
    image_size: int = Field(32, ge=8)
    image_column: str | None = None  # which column holds the images; by default it is found
    label_column: str | None = None  # which one holds the labels, "none" for no labels; by default it is found
    validation_fraction: float = Field(0.1, gt=0, lt=1)  # held out where the source has no split of its own
    horizontal_flip: bool = False
    # Train on random parts of images that are larger than image_size, not on their centre; resized: on parts of any
    # size and shape, of all images.
    random_crop: bool | Literal["resized"] = False
    crop_scale: tuple[float, float] = SCALE  # of a resized crop: the least and the largest share of the image's area
    ten_crop: float | None = Field(None, gt=1)  # encode four corners and the centre of images so much larger, and flips
    fast_decoding: bool = False  # JPEGs to train on at the nearest half, quarter or eighth that is large enough
    max_unreadable: int = Field(10, ge=0)
    max_pixels: int = Field(MAX_PIXELS, ge=1, le=LARGEST_MAX_PIXELS)  # larger images count as unreadable
    streaming: bool = False  # fetch Parquet or tar files when a batch needs them, from a hub id, addresses or a folder
    streaming_gb: float = Field(STREAMING_LIMIT / 1e9, gt=0, exclude=True)  # of this machine's disk that they may take
    workers: int | None = Field(
        None, ge=0, exclude=True
    )  # that decode what memory cannot hold; no result depends on it

    @model_validator(mode="after")
    def _crops_are_possible(self) -> Self:
        least, largest = self.crop_scale
        if not 0 < least <= largest <= 1:
            raise ValueError(f"crop_scale: expected 0 < least <= largest <= 1, got {least} and {largest}")
        if self.ten_crop and not self.horizontal_flip:
            raise ValueError("ten_crop: expected horizontal_flip=true, as half of the ten crops are flipped")
        return self

    @property
    def streaming_limit(self) -> int | None:
        """Bytes that the shards of a stream may take; ``None`` without."""
        return int(self.streaming_gb * 1e9) if self.streaming else None

    @property
    def crop_numbers(self) -> int:
        """How many random numbers a crop follows from; 0 without."""
        return {False: 0, True: NUMBERS, "resized": NUMBERS_OF_RESIZED}[self.random_crop]

    @property
    def token_variants(self) -> Variants:
        """What is encoded of each image that :meth:`load_to_encode` gives."""
        if self.ten_crop:
            return ten_crop(self.image_size)
        return FLIPS if self.horizontal_flip else UNFLIPPED

    @property
    def larger(self) -> int:
        """Pixels a side of the images that ten-crop cuts from."""
        return int(self.image_size * (self.ten_crop or 1.0))

    def load_to_encode(self) -> Images:
        """The training images; for ten-crop, so much larger."""
        if self.ten_crop is None:
            return self.load().train
        return self.model_copy(update={"image_size": self.larger, "random_crop": False}).load().train

    def load(self) -> ImageSplits:
        """The training and the validation images."""
        return load_images(
            self.source,
            image_size=self.image_size,
            image_column=self.image_column,
            label_column=self.label_column,
            validation_fraction=self.validation_fraction,
            random_crop=self.random_crop,
            crop_scale=self.crop_scale,
            fast_decoding=self.fast_decoding,
            max_unreadable=self.max_unreadable,
            max_pixels=self.max_pixels,
            streaming_limit=self.streaming_limit,
            workers=self.workers,
        )

    def inventory(self) -> Inventory:
        """What tells the images from others, without decoding more of them than :meth:`load` does."""
        splits = self.load()
        train, validation = splits
        labels = sha256(train.labels.numpy().tobytes() + validation.labels.numpy().tobytes()).hexdigest()[:16]
        return Inventory(len(train), len(validation), list(train.class_names), splits.checksum, labels)

    def check_channels(self, channels: int) -> None:
        """Check that the images have as many channels as a tokenizer takes.

        Raises:
            ConfigError: They have not.
        """
        found = self.load().train.channels
        if found != channels:
            raise ConfigError(f"tokenizer.image_channels: expected {found}, as the images have, got {channels}")

    def describe(self) -> SourceDescription:
        """What the source holds, without decoding its images."""
        return describe_source(
            self.source,
            image_column=self.image_column,
            label_column=self.label_column,
            streaming_limit=self.streaming_limit,
        )


class PerceptualConfig(Config):
    """The perceptual term of a section of losses: the distance of features, equal channels or LPIPS."""

    perceptual_weight: float = Field(1.0, ge=0)
    perceptual: Literal["backbone", "lpips"] = "backbone"  # stages of a backbone, all channels alike, or the real LPIPS
    perceptual_stages: int = Field(3, ge=1)  # of the backbone
    perceptual_backbone: str = "lite0"
    perceptual_weights: str | None = None  # a local file: of the backbone, or of the VGG16 that LPIPS looks through
    perceptual_heads: str | None = None  # LPIPS's channel weights, a local file; none: they are in perceptual_weights

    @model_validator(mode="after")
    def _lpips_has_weights(self) -> Self:
        if self.perceptual == "lpips" and self.perceptual_weights is None:
            raise ValueError("perceptual_weights: expected a file with the weights of LPIPS's VGG16, got none")
        return self


class EvaluateConfig(Config):
    """What an evaluation measures in, and what samples are compared with."""

    backbone: str = "lite0"  # or "inception" (torch-fidelity's, for FID), or a timm model
    weights: str | None = None  # a file with the backbone's weights; by default the packaged or the published ones
    image_size: int = Field(128, ge=32)  # images are resized to this for the backbone; Inception resizes them itself
    reference: Literal["training", "validation"] = "training"  # the images that samples are compared with
    reference_images: int = Field(10_000, ge=2)  # of the reference, at most; drawn at random
    reference_statistics: str | None = None  # an .npz, ADM's or pytorch-fid's: Frechet distances of samples are to it
    resamples: int = Field(20, ge=0)  # for the deviation of a Frechet distance; 0 leaves it out
    probe_images: int = Field(20_000, ge=0)  # a linear probe is fitted, and measured, on at most so many; 0: none


class SampleConfig(Config):
    """A set of images that a generator draws; each kind of generator adds its own settings in a subclass."""

    num_samples: int = Field(500, ge=1)
    batch_size: int = Field(100, ge=1)
    mixed_precision: MixedPrecision = "bf16"  # of the generator; the tokenizer decodes in float32


def choose(section: Mapping[str, Any], asked: str | None, *, what: str) -> str:
    """The entry of a section that an option names, the first where it names none.

    Raises:
        ConfigError: There is no such entry; the message lists those that there are.

    Example:
        >>> choose({"small": 1, "large": 2}, None, what="generator")
        'small'
    """
    if asked is None:
        return next(iter(section))
    if asked not in section:
        raise ConfigError(f"{what} {asked!r}: expected one of {', '.join(section)}")
    return asked


class Choice(NamedTuple):
    """Which of a run's generators, sample sets and evaluations a command is about."""

    generator: str
    samples: str
    evaluation: str


def choose_entries(config: Any, generator: str | None, samples: str | None, evaluation: str | None) -> Choice:
    """The entries of ``config.generators``, of that generator's ``samples`` and of ``config.evaluations`` by name.

    Where no name is given it is the first entry. Raises :class:`ConfigError` as :func:`choose` does.
    """
    name = choose(config.generators, generator, what="generator")
    chosen = choose(config.generators[name].samples, samples, what=f"samples of generator {name}")
    return Choice(name, chosen, choose(config.evaluations, evaluation, what="evaluation"))


def find_config(name: str, folder: Path) -> Path:
    """The file of a shipped configuration in ``folder`` by its name, or the file at that path.

    Raises:
        ConfigError: It is neither; the message lists the shipped ones.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    shipped = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in shipped:
        raise ConfigError(f"config {name!r}: expected a .yaml file or one of {', '.join(shipped)}")
    return folder / f"{name}.yaml"


def load_recipe(
    model: type[ConfigT],
    folder: Path,
    name: str,
    overrides: Sequence[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
) -> ConfigT:
    """Read a shipped configuration or a file; the rest as in :func:`vistok.workbench.config.load_config`."""
    return load_config(model, find_config(name, folder), overrides, values=values)
