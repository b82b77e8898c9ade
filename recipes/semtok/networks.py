"""Whether all networks of a configuration can be built and fit each other."""

import torch

from semtok.config import SemTokConfig
from semtok.discriminator import build_discriminator
from semtok.draws import Draws
from semtok.generator import build_generator
from semtok.model import SemTok
from semtok.space import check_space, shapes_of
from vistok.generators import check_attention_backend
from vistok.workbench.backbones.meta_build import building, check_backbone, check_network, check_perceptual, remembered
from vistok.workbench.run.devices import best_device

_CLASSES = 10  # how many there are is known with the images only; no shape but the label table's depends on it


@remembered
def check_networks(config: SemTokConfig) -> None:
    """Build and run every network that a run's trainings have on the meta device.

    Raises:
        ConfigError: One cannot be built, or does not take what the one before it gives; the message names the section.
    """
    sizes = config.tokenizer
    check_space(config)
    judged = config.refiner.compares_images
    for section, losses, used in (("losses", config.losses, True), ("refiner", config.refiner, judged)):
        if used and losses.perceptual_weight:
            check_perceptual(section, losses, sizes.image_size)
    if config.aligned:
        check_backbone("alignment", config.alignment, config.alignment.image_size)
    for name, evaluation in config.evaluations.items():
        check_network(f"evaluations.{name}", evaluation)
    images = (2, sizes.image_channels, sizes.image_size, sizes.image_size)
    with building("tokenizer"):
        draws = Draws(
            torch.empty(2),
            torch.empty(2, sizes.channels, sizes.working_size, sizes.working_size),
            torch.zeros(2, sizes.num_tokens, dtype=torch.bool),
        )
        SemTok(sizes, config.refiner.kind, config.sampler, shapes_of(config))(torch.empty(images), draws)
    if judged:
        check_discriminator(config, images)
    for name, generator in config.generators.items():
        with building(f"generators.{name}"):
            check_attention_backend(generator.attention, best_device(), name="attention")
            model = build_generator(config, name, _CLASSES)
            groups = torch.zeros(2, sizes.num_tokens, generator.num_groups, dtype=torch.int64)
            model.loss(groups, torch.zeros(2, dtype=torch.int64))


def check_discriminator(config: SemTokConfig, images: tuple[int, ...]) -> None:
    """Build the discriminator, and run one that sees pixels: a backbone computes no shapes without values."""
    sizes = config.tokenizer
    if config.discriminator.kind == "features":
        check_backbone("discriminator", config.discriminator, sizes.image_size)
    with building("discriminator"):
        discriminator = build_discriminator(config.discriminator, sizes.image_channels, sizes.image_size)
        if config.discriminator.kind == "patchgan":
            discriminator(torch.empty(images))
