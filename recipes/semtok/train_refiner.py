"""Stage II: the refiner of one step or of a few, with encoder and quantizer frozen. Read it top to bottom."""

from typing import Any

import torch
from torch import Tensor, nn

from semtok.config import RefinerConfig, SemTokConfig
from semtok.discriminator import RegularisedDiscriminatorLoss, build_discriminator
from semtok.draws import draw
from semtok.mean_flow import MeanFlow
from semtok.model import LatentSpace, SemTok
from semtok.nested import twice
from semtok.paths import RunPaths
from semtok.refiner import Refiner
from semtok.times import draw_intervals
from vistok.generators import mean_flow_loss
from vistok.losses import LPIPS, PerceptualLoss, generator_loss, reconstruction_loss
from vistok.workbench.run.devices import open_accelerator
from vistok.workbench.run.tracking import MetricsLog
from vistok.workbench.training.adversarial_training import discriminator_step, frozen
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.learning_rate import set_learning_rate
from vistok.workbench.training.loop import own_micro_batches, training_steps
from vistok.workbench.training.micro_batches import MicroBatch, training_batches
from vistok.workbench.training.optimizers import build_optimizer
from vistok.workbench.training.perceptual_term import perceptual_term
from vistok.workbench.training.sharded_state import save_whole
from vistok.workbench.training.state import TrainState
from vistok.workbench.training.switches import apply_switches
from vistok.workbench.training.update import Learner, micro_steps, weighted_sum
from vistok.workbench.training.weight_average import weight_average

STAGE = "refiner"


def train_refiner(config: SemTokConfig, paths: RunPaths, *, resume: bool, space: LatentSpace | None = None) -> None:
    """Train from ``paths.tokenizer`` and the training images; write checkpoints, metrics and ``paths.refined``."""
    # What the last block does to the tokens reaches no loss.
    accelerator = open_accelerator(find_unused_parameters=True)
    train = config.data.load().train
    settings, losses = config.train_refiner, config.refiner

    torch.manual_seed(config.seed)
    tokenizer = with_refiner(SemTok.from_pretrained(paths.tokenizer, space=space), config, space)
    tokenizer.requires_grad_(False).to(accelerator.device)
    bare = learning(tokenizer, config)
    bare.requires_grad_(True)
    critics = Critics(config, accelerator.device) if losses.compares_images else None
    average = weight_average(bare, settings.ema_decay)
    apply_switches(bare, average, settings, accelerator)
    optimizer: Any = build_optimizer(bare, settings)
    objects = {"model": bare, "optimizer": optimizer, "average": average}
    if critics is not None:
        d_optimizer: Any = torch.optim.Adam(critics.discriminator.parameters(), betas=settings.betas, fused=True)
        objects |= {**critics.state(), "d_optimizer": d_optimizer}

    folder, writes = paths.refiner_checkpoints, accelerator.is_main_process
    finite = FiniteLosses(paths.folder)
    state = TrainState(folder, objects, every=settings.checkpoint_every, writes=writes, losses=finite)
    start = state.resume() if resume else 0
    metrics = MetricsLog(paths.metrics, enabled=writes)
    refiner = Learner.prepared(bare, optimizer, accelerator, settings, finite)
    if critics is not None:
        discriminator = Learner.prepared(critics.discriminator, d_optimizer, accelerator, settings, finite)
    loaded = training_batches(train, settings, config.data, accelerator, start=start, seed=config.seed)

    for step in training_steps(STAGE, settings, state, metrics, accelerator, start=start, seed=config.seed):
        set_learning_rate(optimizer, step.rate)
        batches = next(loaded)
        if critics is None:
            step.log, fakes = mean_flow_step(refiner, tokenizer, batches, config, step.index)
        else:
            set_learning_rate(d_optimizer, step.rate)
            adversary = critics.discriminator if step.index >= losses.discriminator_start else None
            step.log, fakes = refiner_step(refiner, tokenizer, critics.terms, adversary, batches, config, step.index)
            if adversary is not None:
                reals = [batch.images for batch in batches]
                step.log["discriminator"] = discriminator_step(discriminator, reals, fakes, critics.loss, step.index)
        step.pictures = batches[-1].images, fakes[-1]
        if average is not None:
            average.update_parameters(bare)

    if average is not None:
        bare.load_state_dict(average.module.state_dict())
    save_whole(tokenizer, paths.refined, writes=writes)
    accelerator.wait_for_everyone()


class LossTerms(nn.Module):
    """Stage II's terms by name, unweighted."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        self.perceptual = perceptual_term(config, PerceptualLoss, LPIPS.from_weights)

    def forward(self, images: Tensor, reconstruction: Tensor, logits: Tensor | None) -> dict[str, Tensor]:
        """Each term as a scalar; ``logits`` are what the discriminator says of the reconstruction."""
        config = self.config
        terms = {"reconstruction": reconstruction_loss(reconstruction, images, kind=config.reconstruction)}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(reconstruction, images)
        if logits is not None:
            terms["adversarial"] = generator_loss(logits.float(), kind=config.adversarial_kind)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return weighted_sum(terms, self.config)


class Critics:
    """What compares a refiner's images with others: the terms of its loss, and the discriminator with its own."""

    def __init__(self, config: SemTokConfig, device: torch.device) -> None:
        sizes = config.tokenizer
        self.discriminator = build_discriminator(config.discriminator, sizes.image_channels, sizes.image_size)
        self.terms = LossTerms(config.refiner).to(device)
        self.loss = RegularisedDiscriminatorLoss(config.refiner.adversarial_kind, config.discriminator).to(device)

    def state(self) -> dict[str, nn.Module]:
        """What a training changes of it, by its name in a checkpoint."""
        state = {"discriminator": self.discriminator}
        return state if self.loss.lecam is None else state | {"lecam": self.loss.lecam}


def refiner_step(
    refiner: Learner,
    tokenizer: SemTok,
    terms: LossTerms,
    adversary: nn.Module | None,
    batches: list[MicroBatch],
    config: SemTokConfig,
    step: int,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """One update of the refiner over all micro-batches; the discriminator takes part frozen.

    Returns:
        The terms (means over the micro-batches) and the detached reconstructions.
    """
    settings = config.train_refiner
    places = own_micro_batches(torch.arange(settings.batch_size), settings.accumulation, refiner.accelerator)
    log: dict[str, Tensor] = {}
    fakes = []
    with frozen(adversary):
        for micro, batch in micro_steps(refiner, step, batches, log):
            given = inputs(tokenizer, batch.images, places[micro.index], step, config)
            with refiner.precision():
                shown = as_shown(tokenizer.from_space(refiner.model(*given)))
                reconstruction, *from_some = shown.split(len(batch.images))
                logits = None if adversary is None else adversary(reconstruction)
            values = terms(batch.images, reconstruction, logits)
            for nested in from_some:
                values["nested"] = terms.total(terms(batch.images, nested, None))
            micro.backward(values, terms.total(values), {"images": batch.images, "reconstruction": reconstruction})
            fakes.append(reconstruction.detach())
    return log, fakes


def mean_flow_step(
    refiner: Learner,
    tokenizer: SemTok,
    batches: list[MicroBatch],
    config: SemTokConfig,
    step: int,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The same by mean flow, which has one term of its own and no adversary.

    Returns:
        The loss and the squared error that it weighs; where the average velocity would lead to from the noisy images.
    """
    settings = config.train_refiner
    places = own_micro_batches(torch.arange(settings.batch_size), settings.accumulation, refiner.accelerator)
    log: dict[str, Tensor] = {}
    estimates = []
    for micro, batch in micro_steps(refiner, step, batches, log):
        own = places[micro.index]
        noise, codes, hidden = inputs(tokenizer, batch.images, own, step, config)
        times = draw_intervals(own, step, config.seed, config.losses, config.refiner.interval_share).to(noise.device)
        with refiner.precision():
            out = refiner.model(tokenizer.to_space(batch.images), noise, times, codes, hidden)
        loss, error = (mean_flow_loss(out.predicted, out.target, power=power) for power in (1.0, 0.0))
        micro.backward({"mean_flow": loss, "mean_flow_error": error}, loss, {"images": batch.images})
        estimates.append(tokenizer.from_space(out.estimate).detach())
    return log, estimates


def learning(tokenizer: SemTok, config: SemTokConfig) -> Any:
    """What learns: the refiner, by mean flow with its target."""
    return tokenizer.refiner if config.refiner.compares_images else MeanFlow(tokenizer.refiner)  # type: ignore[arg-type]


def as_shown(images: Tensor) -> Tensor:
    """Images clamped to [-1, 1], as decoding gives them; the gradient passes straight through.

    Losses that see what lies beyond pull black up to a grey that no eye sees and every feature network does. Where the
    clamped pixel is right the squared error has no gradient, where it is wrong the gradient leads back.
    """
    return images + (images.clamp(-1, 1) - images).detach()


def with_refiner(stage_one: SemTok, config: SemTokConfig, space: LatentSpace | None) -> SemTok:
    """The tokenizer of stage I with a refiner that starts from its decoder."""
    kind, steps = config.refiner.kind, config.refiner.num_steps
    tokenizer = SemTok(stage_one.settings, kind, config.sampler, space, steps)
    tokenizer.encoder.load_state_dict(stage_one.encoder.state_dict())
    tokenizer.decoder.load_state_dict(stage_one.decoder.state_dict())
    tokenizer.quantizer.load_state_dict(stage_one.quantizer.state_dict())
    tokenizer.quantizer.eval()  # it counts no codes
    sizes = config.tokenizer
    tokenizer.refiner = Refiner(
        tokenizer.decoder, kind, sizes.channels, sizes.working_size, sizes.prediction, num_steps=steps
    )
    return tokenizer


@torch.no_grad()
def inputs(
    tokenizer: SemTok, images: Tensor, places: Tensor, step: int, config: SemTokConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """What the refiner is given: where it starts, the codes, and which tokens are hidden (never all, as in stage I).

    With nested dropout all of it a second time behind the first, with other tokens hidden.
    """
    codes = tokenizer.codes(tokenizer.quantizer(tokenizer.features(images)).indices)  # encode() waits for the device
    changes = {"condition_dropout": 0.0, "nested_weight": config.refiner.nested_weight}
    losses = config.losses.model_copy(update=changes)
    draws = draw(places, step, config.seed, config.tokenizer, losses).to(tokenizer.device)
    start, hidden = draws.noise, draws.hidden
    if draws.nested is not None:
        start, codes, hidden = twice(start), twice(codes), torch.cat([hidden, draws.nested])
    if config.refiner.kind == "sample":
        start = tokenizer.solve(codes, start, hidden=hidden)
    return start, codes, hidden
