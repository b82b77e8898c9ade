"""Autoencoders of diffusers in the shape of a tokenizer: encode, decode, and how many codes there are."""

import importlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vistok.metrics.networks._torchvision_schemas import declare_missing_operators


class DiffusersAutoencoder(nn.Module):
    """An autoencoder of diffusers as a tokenizer.

    One with a codebook (``VQModel``) gives and takes tokens; any other (``AutoencoderKL``, ``AutoencoderTiny``,
    ``AutoencoderDC``) latents, the mode where it has a distribution of them.

    Source:
        The interface of diffusers' autoencoders, version 0.30 and later.

    Args:
        model: The autoencoder.

    Attributes:
        codebook_sizes: How many codes the codebook has; none without one.

    Shape:
        - images: ``(B, C, H, W)`` in [-1, 1].
        - code: tokens ``(B, h, w)`` int64, or latents ``(B, c, h, w)``.

    Range:
        Tokens below the size of the codebook; latents not scaled; decoded images as the model makes them, not clamped.

    Gradient:
        To the images and the latents; none through tokens.

    Example:
        >>> DiffusersAutoencoder(nn.Identity()).codebook_sizes
        ()
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        quantize = getattr(model, "quantize", None)
        self.codebook_sizes = () if quantize is None else (int(quantize.re_embed),)

    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens or latents."""
        encoded = self.model.encode(images)
        if hasattr(encoded, "latent_dist"):
            return encoded.latent_dist.mode()  # type: ignore[no-any-return]
        latents: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent
        if not self.codebook_sizes:
            return latents
        indices: Tensor = self.model.quantize(latents)[2][2]
        return indices.reshape(len(latents), *latents.shape[-2:])

    def decode(self, code: Tensor) -> Tensor:
        """Turn tokens or latents into images."""
        if not self.codebook_sizes:
            return self.model.decode(code).sample  # type: ignore[no-any-return]
        shape = (*code.shape, self.model.config.vq_embed_dim or self.model.config.latent_channels)
        if self.model.config.lookup_from_codebook:  # then its decoder looks up itself
            return self.model.decode(code.flatten(), force_not_quantize=True, shape=shape).sample  # type: ignore[no-any-return]
        codes = self.model.quantize.get_codebook_entry(code.flatten(), shape)
        return self.model.decode(codes, force_not_quantize=True).sample  # type: ignore[no-any-return]


def load_diffusers_autoencoder(path: str | Path) -> DiffusersAutoencoder:
    """An autoencoder of diffusers from its folder; its class is the one that its configuration names.

    Raises:
        ValueError: diffusers is not installed, or the folder is not one of an autoencoder.
        OSError: diffusers cannot read the weights.
    """
    declare_missing_operators()  # diffusers imports torchvision
    try:
        diffusers: Any = importlib.import_module("diffusers")
    except ImportError as error:
        raise ValueError(f"it needs diffusers ({error}): pip install 'vistok-metrics[diffusers]'") from error
    config = Path(path) / "config.json"
    try:
        kind = getattr(diffusers, json.loads(config.read_text(encoding="utf-8"))["_class_name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"config.json is not that of an autoencoder of diffusers ({reason})") from error
    return DiffusersAutoencoder(kind.from_pretrained(str(path))).eval()
