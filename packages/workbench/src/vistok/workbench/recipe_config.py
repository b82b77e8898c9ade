"""Sections that the configurations of recipes share, and how a recipe's shipped files are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vistok.workbench.config import Config, ConfigError, ConfigT, load_config
from vistok.workbench.data import ImageSplits, load_images


class DataConfig(Config):
    """Which images."""

    source: str = "digits"  # "digits" (embedded), an image folder, Parquet, or the id of a hub data set
    image_size: int = Field(32, ge=8)
    horizontal_flip: bool = False
    max_unreadable: int = Field(10, ge=0)

    def load(self) -> ImageSplits:
        """The training and the validation images."""
        return load_images(self.source, image_size=self.image_size, max_unreadable=self.max_unreadable)


class DiscriminatorConfig(Config):
    """PatchGAN."""

    base_width: int = Field(64, ge=4)
    num_layers: int = Field(3, ge=1)
    norm: Literal["batch", "group", "none"] = "batch"


class EvaluateConfig(Config):
    """The features that figures are measured in."""

    backbone: str = "lite0"
    image_size: int = Field(128, ge=32)  # images are resized to this for the backbone


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
