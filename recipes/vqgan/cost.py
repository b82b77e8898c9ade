"""What the trainings of a configuration take, counted: the very steps they make, on networks without memory."""

from functools import partial

import torch
from torch import Tensor, nn

from vistok.losses import discriminator_loss
from vistok.workbench.cost.trainings import DryRun, Training
from vistok.workbench.generator_settings import XARConfig
from vistok.workbench.training.adversarial_training import discriminator_step
from vqgan.config import VQGANConfig
from vqgan.generator import build_generator, token_units
from vqgan.model import VQGAN
from vqgan.networks import build_discriminator
from vqgan.train_tokenizer import LossTerms, generator_step

_CLASSES = 1000  # ImageNet's; the label table is all that depends on it


def trainings(config: VQGANConfig, dry_run: DryRun) -> list[Training]:
    """The tokenizer's training, and that of each generator."""
    return [
        tokenizer_training(config, dry_run),
        *(generator_training(config, dry_run, name) for name in config.generators),
    ]


def token_streams(config: VQGANConfig) -> tuple[int, list[int]]:
    """How many tokens of each stream an image has, and how many codes each stream."""
    return config.tokenizer.grid_size**2, list(config.tokenizer.quantizer.codebook_sizes)


def tokenizer_training(config: VQGANConfig, dry_run: DryRun) -> Training:
    """Pixels, features, quantizer, and the discriminator."""
    sizes, losses = config.tokenizer, config.losses
    with dry_run.building():
        model, discriminator = VQGAN(sizes), build_discriminator(config)
        terms = LossTerms(losses, sizes.quantizer)
    frozen: dict[str, nn.Module] = {} if terms.perceptual is None else {"perceptual network": terms.perceptual}
    tokenizer, d_learner = dry_run.learner(model, config.train), dry_run.learner(discriminator, config.train)
    d_loss = partial(discriminator_loss, kind=losses.adversarial_kind)

    def step(size: int, index: int) -> None:
        images = dry_run.images(size, sizes.image_channels, sizes.image_size)
        adversary = discriminator if index >= losses.discriminator_start else None
        _, fakes, _ = generator_step(tokenizer, terms, adversary, [images], index)
        if adversary is not None:
            discriminator_step(d_learner, [images], fakes, d_loss, index)

    learners = {"tokenizer": tokenizer, "discriminator": d_learner}
    starts = (0, losses.discriminator_start)
    return Training("tokenizer", config.train, learners, frozen, step, starts, True, dry_run)


def generator_training(config: VQGANConfig, dry_run: DryRun, name: str) -> Training:
    """A generator's, on random tokens."""
    settings, sizes = config.generators[name], config.tokenizer
    units = len(token_units(config, settings).unit_sizes)

    def inputs(count: int) -> Tensor:
        if isinstance(settings, XARConfig):
            return torch.rand(count, sizes.quantizer.code_dim, sizes.grid_size, sizes.grid_size, device=dry_run.device)
        return torch.zeros(count, sizes.grid_size**2, units, dtype=torch.int64, device=dry_run.device)

    return dry_run.generator(name, partial(build_generator, config, name, _CLASSES), settings.train, inputs)
