"""The space that the networks work in, by configuration: pixels, or the latents of an autoencoder of diffusers."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semtok.config import AUTOENCODER, PIXELS, SemTokConfig
from semtok.model import LatentSpace
from semtok.tokenizer_config import TokenizerConfig
from vistok.metrics.harness.diffusers_autoencoders import load_diffusers_autoencoder
from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import read_json

_KEYS = ("_class_name", "in_channels", "latent_channels", "block_out_channels")
_SCALE = 0.18215  # diffusers' own default, of the folders whose configuration names none


class AutoencoderSpace(nn.Module):
    """The latents (their mode) of an ``AutoencoderKL``, shifted and scaled as its configuration says; never trained.

    Args:
        autoencoder: Encodes images to latents and decodes these, such as
            :class:`vistok.metrics.harness.diffusers_autoencoders.DiffusersAutoencoder`.
        scale: Latents are multiplied by it, after ``shift`` is taken from them.
        shift: Of the latents.
    """

    def __init__(self, autoencoder: Any, scale: float, shift: float = 0.0) -> None:
        super().__init__()
        self.autoencoder, self.scale, self.shift = autoencoder.eval().requires_grad_(False), scale, shift

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] to scaled latents."""
        latents: Tensor = self._on(images.device).encode(images)
        return (latents - self.shift) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents to images; gradients pass."""
        images: Tensor = self._on(latents.device).decode(latents / self.scale + self.shift)
        return images

    def _on(self, device: torch.device) -> Any:
        if next(self.autoencoder.parameters()).device != device:
            self.autoencoder.to(device)
        return self.autoencoder


class ShapesOnly:
    """In place of a latent space where only shapes matter."""

    def __init__(self, sizes: TokenizerConfig) -> None:
        self.sizes = sizes

    def encode(self, images: Tensor) -> Tensor:
        """The first channel, each block of pixels by its first, for all channels."""
        stride = self.sizes.space_stride
        return images[:, :1, ::stride, ::stride].expand(-1, self.sizes.channels, -1, -1)

    def decode(self, latents: Tensor) -> Tensor:
        """The first channel for all, each latent as a block."""
        images = F.interpolate(latents[:, :1], scale_factor=self.sizes.space_stride)
        return images.expand(-1, self.sizes.image_channels, -1, -1)


def shapes_of(config: SemTokConfig) -> ShapesOnly | None:
    """What stands for the configuration's space where only shapes matter; none for pixels."""
    return None if config.space == PIXELS else ShapesOnly(config.tokenizer)


def open_space(config: SemTokConfig) -> LatentSpace | None:
    """The space that a configuration names; none for pixels.

    Raises:
        ConfigError: As :func:`check_space`; or diffusers cannot read the folder.
    """
    about = check_space(config)
    if about is None:
        return None
    try:
        autoencoder = load_diffusers_autoencoder(_folder(config))
    except (ValueError, OSError) as error:
        raise ConfigError(f"space: {_folder(config)}: {' '.join(str(error).split())}") from error
    return AutoencoderSpace(autoencoder, about.get("scaling_factor", _SCALE), about.get("shift_factor") or 0.0)


def check_space(config: SemTokConfig) -> dict[str, Any] | None:
    """What the autoencoder's configuration says, without loading it; none for pixels.

    Raises:
        ConfigError: diffusers is not installed; the folder is not one of an ``AutoencoderKL``; or its channels and
            stride are not those of the section ``tokenizer``.
    """
    if config.space == PIXELS:
        return None
    if find_spec("diffusers") is None:
        raise ConfigError("space: an autoencoder needs diffusers; pip install 'vistok-recipes[diffusers]'")
    folder, sizes = _folder(config), config.tokenizer
    try:
        about = read_json(folder / "config.json", *_KEYS)
    except (OSError, ValueError) as error:
        raise ConfigError(f"space: {folder}: expected the folder of an AutoencoderKL ({error})") from error
    if about["_class_name"] != "AutoencoderKL":
        raise ConfigError(f"space: {folder}: expected an AutoencoderKL, got {about['_class_name']}")
    stride = 2 ** (len(about["block_out_channels"]) - 1)
    for key, ours, theirs in (
        ("image_channels", sizes.image_channels, about["in_channels"]),
        ("space_channels", sizes.space_channels, about["latent_channels"]),
        ("space_stride", sizes.space_stride, stride),
    ):
        if ours != theirs:
            raise ConfigError(f"tokenizer.{key}: expected {theirs}, which {folder} has, got {ours}")
    return about


def _folder(config: SemTokConfig) -> Path:
    return Path(config.space.removeprefix(AUTOENCODER))
