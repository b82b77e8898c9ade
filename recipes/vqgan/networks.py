"""The discriminator, and whether all networks of a configuration can be built and fit each other."""

import torch

from vistok.generators import check_attention_backend
from vistok.losses import PatchGANDiscriminator
from vistok.workbench.backbones.meta_build import building, check_network, check_perceptual, remembered
from vistok.workbench.generator_settings import XARConfig
from vistok.workbench.run.devices import best_device
from vqgan.config import VQGANConfig
from vqgan.generator import build_generator, token_units
from vqgan.model import VQGAN

_CLASSES = 10  # how many there are is known with the images only; no shape but the label table's depends on it


def build_discriminator(config: VQGANConfig) -> PatchGANDiscriminator:
    """The discriminator of the tokenizer's training."""
    settings = config.discriminator
    channels = config.tokenizer.image_channels
    return PatchGANDiscriminator(channels, settings.base_width, settings.num_layers, norm=settings.norm)


@remembered
def check_networks(config: VQGANConfig) -> None:
    """Build and run every network of a run on the meta device.

    Raises:
        ConfigError: One cannot be built, or does not take what the one before it gives; the message names the section.
    """
    sizes = config.tokenizer
    shape = (2, sizes.image_channels, sizes.image_size, sizes.image_size)
    if config.losses.perceptual_weight:
        check_perceptual("losses", config.losses, sizes.image_size)
    for name, evaluation in config.evaluations.items():
        check_network(f"evaluations.{name}", evaluation)
    with building("tokenizer"):
        VQGAN(sizes)(torch.empty(shape))
    with building("discriminator"):
        build_discriminator(config)(torch.empty(shape))
    grid = sizes.grid_size
    for name, generator in config.generators.items():
        with building(f"generators.{name}"):
            check_attention_backend(generator.attention, best_device(), name="attention")
            model = build_generator(config, name, _CLASSES)
            labels = torch.zeros(2, dtype=torch.int64)
            if isinstance(generator, XARConfig):
                inputs = torch.empty(2, sizes.quantizer.code_dim, grid, grid)
            else:
                inputs = torch.zeros(2, grid * grid, len(token_units(config, generator).unit_sizes), dtype=torch.int64)
            model.loss(inputs, labels)
