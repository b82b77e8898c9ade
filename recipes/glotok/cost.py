"""What the trainings of a configuration take, counted: the very steps they make, on networks without memory."""

from functools import partial

import torch
from torch import Tensor, nn

from glotok.config import GloTokConfig
from glotok.generator import build_generator
from glotok.model import GloTok
from glotok.networks import build_discriminator, build_head
from glotok.representation import HeadedTokenizer, RepresentationTerm
from glotok.train_tokenizer import LossTerms, generator_step
from vistok.losses import discriminator_loss
from vistok.workbench.cost.trainings import DryRun, Training
from vistok.workbench.generator_settings import XARConfig
from vistok.workbench.training.adversarial_training import discriminator_step

_CLASSES = 1000  # ImageNet's; the label table is all that depends on it


def trainings(config: GloTokConfig, dry_run: DryRun) -> list[Training]:
    """The tokenizer's training, and that of each generator."""
    return [
        tokenizer_training(config, dry_run),
        *(generator_training(config, dry_run, name) for name in config.generators),
    ]


def token_streams(config: GloTokConfig) -> tuple[int, list[int]]:
    """How many tokens of each codebook an image has, and the codebooks' sizes."""
    return config.tokenizer.grid_size**2, [
        config.tokenizer.semantic_codebook_size,
        config.tokenizer.visual_codebook_size,
    ]


def tokenizer_training(config: GloTokConfig, dry_run: DryRun) -> Training:
    """Equation 13 and the discriminator; the teacher's histogram is a flat one."""
    sizes, losses = config.tokenizer, config.losses
    with dry_run.building():
        model, discriminator = GloTok(sizes), build_discriminator(config)
        flat = torch.full((losses.histogram_bins,), 1 / losses.histogram_bins)
        representation = None
        if losses.alignment == "contrastive":
            representation = RepresentationTerm(config.teacher, config.representation.temperature)
        terms = LossTerms(losses, flat if losses.alignment == "histogram" else None, representation)
        head = None if representation is None else build_head(config, representation.backbone.dim)
    frozen: dict[str, nn.Module] = {} if terms.perceptual is None else {"perceptual network": terms.perceptual}
    if representation is not None:
        frozen["alignment backbone"] = representation.backbone
    tokenizer = dry_run.learner(HeadedTokenizer(model, head), config.train)
    d_learner = dry_run.learner(discriminator, config.train)
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


def generator_training(config: GloTokConfig, dry_run: DryRun, name: str) -> Training:
    """A generator's, on random tokens."""
    settings, sizes = config.generators[name], config.tokenizer

    def inputs(count: int) -> Tensor:
        if isinstance(settings, XARConfig):
            return torch.rand(count, 2 * sizes.code_dim, sizes.grid_size, sizes.grid_size, device=dry_run.device)
        return torch.zeros(count, sizes.grid_size**2, 2, dtype=torch.int64, device=dry_run.device)

    return dry_run.generator(name, partial(build_generator, config, name, _CLASSES), settings.train, inputs)
