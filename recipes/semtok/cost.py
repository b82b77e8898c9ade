"""What the trainings of a configuration take, counted: the very steps they make, on networks without memory."""

from functools import partial

import torch
from torch import Tensor, nn

from semtok.alignment import Targets, backbone_features
from semtok.config import SemTokConfig
from semtok.generator import build_generator
from semtok.model import SemTok
from semtok.space import shapes_of
from semtok.train_refiner import Critics, learning, mean_flow_step, refiner_step
from semtok.train_tokenizer import LossTerms, StageOne, tokenizer_step
from vistok.metrics import FeatureBackbone
from vistok.workbench.cost.trainings import DryRun, Training
from vistok.workbench.training.adversarial_training import discriminator_step
from vistok.workbench.training.micro_batches import MicroBatch

_CLASSES = 1000  # ImageNet's; the label table is all that depends on it


def trainings(config: SemTokConfig, dry_run: DryRun) -> list[Training]:
    """Stage I, the refiner, and each generator."""
    generators = (generator_training(config, dry_run, name) for name in config.generators)
    return [tokenizer_training(config, dry_run), refiner_training(config, dry_run), *generators]


def token_streams(config: SemTokConfig) -> tuple[int, list[int]]:
    """How many tokens an image has, and how many codes there are."""
    return config.tokenizer.num_tokens, [config.tokenizer.codebook_size]


def tokenizer_training(config: SemTokConfig, dry_run: DryRun) -> Training:
    """Stage I; with a cache of the alignment's features the backbone is held and does not run."""
    losses, alignment = config.losses, config.alignment
    with dry_run.building():
        tokenizer = SemTok(config.tokenizer, sampler=config.sampler, space=shapes_of(config))
        backbone = FeatureBackbone(alignment.backbone, weights=alignment.weights) if config.aligned else None
        bare = StageOne(config, tokenizer, backbone.dim if backbone else None)
        terms = LossTerms(losses, tokenizer)
    frozen: dict[str, nn.Module] = {} if terms.perceptual is None else {"perceptual network": terms.perceptual}
    if backbone is not None:
        frozen["alignment backbone"] = backbone
    learner = dry_run.learner(bare, config.train)

    def targets(batch: MicroBatch) -> Targets:
        if backbone is None or not alignment.cache:
            return backbone_features(backbone, batch.images, alignment.image_size)  # type: ignore[arg-type]
        one = backbone_features(backbone, batch.images[:1], alignment.image_size)
        return Targets(*(part.repeat(len(batch.images), *[1] * (part.ndim - 1)) for part in one))

    def step(size: int, index: int) -> None:
        sized, batch = _of_one_micro_batch(config, "train", size), _batch(config, dry_run, size)
        tokenizer_step(learner, targets if config.aligned else None, terms, [batch], sized, index)

    return Training("tokenizer", config.train, {"tokenizer": learner}, frozen, step, (0,), True, dry_run)


def refiner_training(config: SemTokConfig, dry_run: DryRun) -> Training:
    """Stage II: the frozen tokenizer encodes, the refiner learns, and the discriminator where images are compared."""
    losses, settings = config.refiner, config.train_refiner
    with dry_run.building():
        tokenizer = SemTok(config.tokenizer, losses.kind, config.sampler, shapes_of(config), losses.num_steps)
        critics = Critics(config, dry_run.device) if losses.compares_images else None
    tokenizer.requires_grad_(False)
    bare = learning(tokenizer, config)
    bare.requires_grad_(True)
    frozen: dict[str, nn.Module] = {"encoder": tokenizer.encoder, "decoder": tokenizer.decoder}
    if critics is not None and critics.terms.perceptual is not None:
        frozen["perceptual network"] = critics.terms.perceptual
    learners = {"refiner": dry_run.learner(bare, settings)}
    starts: tuple[int, ...] = (0,)
    if critics is not None:
        learners["discriminator"] = dry_run.learner(critics.discriminator, settings)
        starts = (0, losses.discriminator_start)

    def step(size: int, index: int) -> None:
        sized, batch = _of_one_micro_batch(config, "train_refiner", size), _batch(config, dry_run, size)
        if critics is None:
            mean_flow_step(learners["refiner"], tokenizer, [batch], sized, index)
            return
        adversary = critics.discriminator if index >= losses.discriminator_start else None
        _, fakes = refiner_step(learners["refiner"], tokenizer, critics.terms, adversary, [batch], sized, index)
        if adversary is not None:
            discriminator_step(learners["discriminator"], [batch.images], fakes, critics.loss, index)

    return Training("refiner", settings, learners, frozen, step, starts, True, dry_run)


def generator_training(config: SemTokConfig, dry_run: DryRun, name: str) -> Training:
    """A generator's, on random tokens."""
    settings, sizes = config.generators[name], config.tokenizer

    def inputs(count: int) -> Tensor:
        return torch.zeros(count, sizes.num_tokens, settings.num_groups, dtype=torch.int64, device=dry_run.device)

    return dry_run.generator(name, partial(build_generator, config, name, _CLASSES), settings.train, inputs)


def _batch(config: SemTokConfig, dry_run: DryRun, size: int) -> MicroBatch:
    images = dry_run.images(size, config.tokenizer.image_channels, config.tokenizer.image_size)
    return MicroBatch(images, torch.arange(size), torch.zeros(size, dtype=torch.bool))


def _of_one_micro_batch(config: SemTokConfig, section: str, size: int) -> SemTokConfig:
    settings = getattr(config, section).model_copy(update={"batch_size": size, "accumulation": 1})
    return config.model_copy(update={section: settings})
