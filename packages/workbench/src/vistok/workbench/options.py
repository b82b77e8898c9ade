"""The options that every command of a recipe takes, and what they ask for."""

import dataclasses
import functools
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from vistok.workbench.config import Config, ConfigError, apply_overrides, parse_config
from vistok.workbench.data import DIGITS, SourceDescription
from vistok.workbench.output import OutputOptions
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.run.folder import CONFIG, is_run

logger = logging.getLogger(__name__)

#: The name of the configuration that is made for the images of --data.
AUTO = "auto"

# Settings of the section of images that decide what a source holds.
_DESCRIBED = ("source", "image_column", "label_column", "streaming", "streaming_gb")


class _Source(Config):
    data: DataConfig


@dataclass(frozen=True)
class RunOptions(OutputOptions):
    """What every command takes. A recipe adds its own in a subclass; the strings are the help texts."""

    config: str | None = None
    """A shipped configuration by its name, the path of a YAML file, or auto: one that is made for the images of --data.
    By default auto with --data; without it that of the run, if --name names one that exists, else digits."""
    name: str | None = None
    """The run: everything lands in RUNS/NAME. By default the configuration's own name."""
    runs: Path = Path("runs")
    """The folder of all runs."""
    data: str | None = None
    """An image folder, a Parquet file or folder, the id of a hub data set, or openmoji (drawings, by the extra of that
    name), in place of the configuration's."""
    image_size: int | None = None
    """Resize and crop the images to this side."""
    seed: int | None = None
    """The seed that everything random follows from."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Override any setting, as in --set train.steps=100; may be repeated."""
    generator: str | None = None
    """Which of the configuration's generators is trained and drawn from; the first by default. The report shows all
    that have samples."""
    samples: str | None = None
    """Which of the generator's sample sets is drawn; the first by default."""
    evaluation: str | None = None
    """Which of the configuration's evaluations is made and shown; the first by default."""
    skip: tuple[str, ...] = ()
    """Of demo: leave these stages out, as in --skip sample report."""
    resume: bool = False
    """Continue the run: finished stages stay, an interrupted one goes on from its newest checkpoint."""
    fresh: bool = False
    """Set aside what the command made earlier, and what followed from it, and make it again."""

    def config_or_default(self, default: str) -> str:
        """The configuration that is meant: the one named, or that of the run named if it exists, or a default one.

        With images of one's own it is :data:`AUTO`, else the one named here.
        """
        if self.config is not None:
            return self.config
        if self.data is None and self.name is not None and is_run(self.runs / self.name):
            return str(self.runs / self.name / CONFIG)
        return default if self.data in (None, DIGITS) else AUTO

    @property
    def image_channels(self) -> int | None:
        """Images other than the embedded digits are in colour."""
        return None if self.data in (None, DIGITS) else 3

    def describe_images(self) -> tuple[SourceDescription, int]:
        """What ``data`` holds, and the size its images are brought to: ``image_size``, or one that a device can train.

        Raises:
            ConfigError: There is no ``data`` to look at, or ``set`` says something of it that cannot be.
        """
        if self.data is None:
            raise ConfigError(f"config {AUTO}: expected --data, whose images the configuration is made for")
        images = self._source().describe()
        affordable = 256 if torch.cuda.is_available() else 32
        size = self.image_size
        if size is None:
            size = max(8, min(affordable, 2 ** (images.image_size.bit_length() - 1)))
        _say_once(images, size)
        return images, size

    def _source(self) -> DataConfig:
        """The images as the configuration will have them, as far as it matters for what they are."""
        tree: dict[str, Any] = {"data": {"source": self.data}}
        apply_overrides(tree, self.set)
        if isinstance(tree["data"], dict):
            tree["data"] = {key: value for key, value in tree["data"].items() if key in _DESCRIBED}
        return parse_config(_Source, {"data": tree["data"]}, source=f"config {AUTO}").data

    def of_a_run(self) -> "RunOptions":
        """Those that every command takes, without what a subclass adds."""
        return RunOptions(**{field.name: getattr(self, field.name) for field in dataclasses.fields(RunOptions)})

    def hint(self) -> str:
        """The options that were given, as they would be typed, for commands in messages."""
        given = [(field, getattr(self, field.name)) for field in dataclasses.fields(self)]
        words: list[str] = []
        for field, value in given:
            if value == field.default or field.name in ("skip", "resume", "fresh", "quiet", "json"):
                continue
            for item in value if isinstance(value, tuple) else (value,):
                words += [f"--{field.name.replace('_', '-')}", *([] if item is True else [str(item)])]
        return shlex.join(words)

    def overrides(self, keys: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What the options by name change in a recipe's configuration: dotted keys and plain values.

        They are the ``values`` of :func:`vistok.workbench.config.load_config`, and ``set`` its ``overrides``, which
        have the last word.

        Args:
            keys: The dotted keys that each option sets, and ``image_channels`` with them.

        Example:
            >>> keys = {"name": ["name"], "image_size": ["data.image_size", "tokenizer.image_size"]}
            >>> RunOptions(name="2024", image_size=64, set=("train.steps=9",)).overrides(keys)
            {'name': '2024', 'data.image_size': 64, 'tokenizer.image_size': 64}
        """
        values = ((getattr(self, option), dotted) for option, dotted in keys.items())
        return {key: value for value, dotted in values if value is not None for key in dotted}


@functools.cache
def _say_once(images: SourceDescription, size: int) -> None:
    """A demo describes the same images before each of its stages."""
    logger.info(
        "config auto: %d images in %d classes, %d channels, typically %d px; trained at %d px",
        images.num_images,
        images.num_classes,
        images.channels,
        images.image_size,
        size,
    )
