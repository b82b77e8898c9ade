"""The discriminator, and whether all networks of a configuration can be built and fit each other."""

import torch

from glotok.config import GloTokConfig
from glotok.generator import build_generator
from glotok.model import GloTok
from glotok.representation import RepresentationHead
from vistok.generators import check_attention_backend
from vistok.losses import PatchGANDiscriminator
from vistok.workbench.backbones.meta_build import building, check_backbone, check_network, check_perceptual, remembered
from vistok.workbench.config import ConfigError
from vistok.workbench.generator_settings import XARConfig
from vistok.workbench.run.devices import best_device

_CLASSES = 10  # how many there are is known with the images only; no shape but the label table's depends on it


def build_discriminator(config: GloTokConfig) -> PatchGANDiscriminator:
    """The discriminator of the tokenizer's training."""
    settings = config.discriminator
    channels = config.tokenizer.image_channels
    return PatchGANDiscriminator(channels, settings.base_width, settings.num_layers, norm=settings.norm)


def build_head(config: GloTokConfig, target_dim: int) -> RepresentationHead:
    """The head of contrastive alignment, for a backbone's features of so many channels."""
    sizes = config.tokenizer
    return RepresentationHead(config.representation, sizes.code_dim, sizes.grid_size**2, target_dim)


def check_teacher(config: GloTokConfig) -> None:
    """Raise :class:`ConfigError` unless the backbone whose features are used is there, and has the stage asked for."""
    teacher, alignment = config.teacher, config.losses.alignment
    named = teacher.source == "backbone" or (teacher.source == "random" and teacher.dimension is None)
    if alignment == "none" or not named:
        return
    count = check_backbone("teacher", teacher, teacher.image_size)
    if teacher.stage is not None and teacher.stage > count:
        raise ConfigError(f"teacher.stage: expected 1 to {count} for {teacher.backbone}, got {teacher.stage}")


@remembered
def check_networks(config: GloTokConfig) -> None:
    """Build and run every network of a run on the meta device.

    Raises:
        ConfigError: One cannot be built, or does not take what the one before it gives; the message names the section.
    """
    sizes = config.tokenizer
    shape = (2, sizes.image_channels, sizes.image_size, sizes.image_size)
    if config.losses.perceptual_weight:
        check_perceptual("losses", config.losses, sizes.image_size)
    check_teacher(config)
    for name, evaluation in config.evaluations.items():
        check_network(f"evaluations.{name}", evaluation)
    with building("tokenizer"):
        out = GloTok(sizes)(torch.empty(shape))
    if config.losses.alignment == "contrastive":
        with building("representation"):
            build_head(config, config.representation.width)(out.semantic.quantized)
    with building("discriminator"):
        build_discriminator(config)(torch.empty(shape))
    grid = sizes.grid_size
    for name, generator in config.generators.items():
        with building(f"generators.{name}"):
            check_attention_backend(generator.attention, best_device(), name="attention")
            model = build_generator(config, name, _CLASSES)
            labels = torch.zeros(2, dtype=torch.int64)
            if isinstance(generator, XARConfig):
                inputs = torch.empty(2, 2 * sizes.code_dim, grid, grid)
            else:
                inputs = torch.zeros(2, grid * grid, 2, dtype=torch.int64)
            model.loss(inputs, labels)
