"""Train the tokenizer: equation 13 of the paper, with a PatchGAN from a start step. Read it top to bottom."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from glotok.config import GloTokConfig, LossConfig
from glotok.model import Branch, GloTok, TrainingOutput
from glotok.networks import build_discriminator, build_head
from glotok.paths import RunPaths
from glotok.representation import HeadedTokenizer, RepresentationTerm
from glotok.teacher import load_teacher
from vistok.losses import (
    LPIPS,
    HistogramRelationLoss,
    PerceptualLoss,
    chroma_loss,
    codebook_commitment_loss,
    discriminator_loss,
    disentanglement_loss,
    generator_loss,
    residual_loss,
    vector_entropy_loss,
)
from vistok.workbench.data import Images
from vistok.workbench.run.devices import open_accelerator
from vistok.workbench.run.tracking import MetricsLog
from vistok.workbench.training.adversarial_training import discriminator_step, frozen
from vistok.workbench.training.codebook_start import start_images
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.learning_rate import set_learning_rate
from vistok.workbench.training.loop import training_steps
from vistok.workbench.training.micro_batches import training_batches
from vistok.workbench.training.optimizers import build_optimizer
from vistok.workbench.training.perceptual_term import perceptual_term
from vistok.workbench.training.replaced_rows import follow_replaced_rows
from vistok.workbench.training.sharded_state import save_whole
from vistok.workbench.training.start import begins_anew, start_from
from vistok.workbench.training.state import TrainState
from vistok.workbench.training.switches import apply_switches
from vistok.workbench.training.update import Learner, micro_steps, weighted_sum
from vistok.workbench.training.weight_average import weight_average

STAGE = "tokenizer"


def train_tokenizer(config: GloTokConfig, paths: RunPaths, *, resume: bool) -> None:
    """Train on the training images, with ``paths.teacher`` where relations are learned; write ``paths.tokenizer``."""
    accelerator = open_accelerator()
    train = config.data.load().train
    settings = config.train

    torch.manual_seed(config.seed)
    model = GloTok(config.tokenizer)
    discriminator = build_discriminator(config)
    terms = loss_terms(config, paths).to(accelerator.device)
    head = None if terms.representation is None else build_head(config, terms.representation.backbone.dim)
    learned = HeadedTokenizer(model, head).to(accelerator.device)
    d_loss = partial(discriminator_loss, kind=config.losses.adversarial_kind)
    folder, writes = paths.tokenizer_checkpoints, accelerator.is_main_process
    if settings.codebook_start == "k_means" and begins_anew(folder, resume=resume, init_from=settings.init_from):
        initialize_codebooks(model, train, config, accelerator)
    average = weight_average(model, settings.ema_decay)
    apply_switches(learned, average, settings, accelerator, replicated=type(model.quantizer))
    optimizer: Any = build_optimizer(learned, settings)
    d_optimizer: Any = torch.optim.Adam(discriminator.parameters(), betas=settings.betas, fused=True)

    objects = {"model": model, "head": head, "discriminator": discriminator, "optimizer": optimizer}
    objects |= {"d_optimizer": d_optimizer, "average": average}
    finite = FiniteLosses(paths.folder)
    state = TrainState(folder, objects, every=settings.checkpoint_every, writes=writes, losses=finite)
    start = state.resume() if resume else 0
    if start == 0 and settings.init_from:
        start_from(Path(settings.init_from), model, state)
    metrics = MetricsLog(paths.metrics, enabled=writes)
    tokenizer = Learner.prepared(learned, optimizer, accelerator, settings, finite)
    d_learner = Learner.prepared(discriminator, d_optimizer, accelerator, settings, finite)
    loaded = training_batches(train, settings, config.data, accelerator, start=start, seed=config.seed)

    for step in training_steps(STAGE, settings, state, metrics, accelerator, start=start, seed=config.seed):
        set_learning_rate(optimizer, step.rate)
        set_learning_rate(d_optimizer, step.rate)
        batches = next(loaded)
        reals = [batch.images for batch in batches]
        adversary = discriminator if step.index >= config.losses.discriminator_start else None

        step.log, fakes, features = generator_step(tokenizer, terms, adversary, reals, step.index)
        step.pictures = reals[-1], fakes[-1]
        if adversary is not None:
            step.log["discriminator"] = discriminator_step(d_learner, reals, fakes, d_loss, step.index)
        if average is not None:
            average.update_parameters(model)
        if config.train.revives_after(step.index):
            step.log["revived"] = revive_codebooks(model, average, optimizer, features, config, step.index)

    save_whole(model if average is None else average.module, paths.tokenizer, writes=writes)
    accelerator.wait_for_everyone()


def loss_terms(config: GloTokConfig, paths: RunPaths) -> "LossTerms":
    """The terms of a run, with what its kind of alignment follows: the teacher's histogram, or the backbone."""
    alignment = config.losses.alignment
    teacher = load_teacher(paths, config.losses) if alignment == "histogram" else None
    temperature = config.representation.temperature
    representation = RepresentationTerm(config.teacher, temperature) if alignment == "contrastive" else None
    return LossTerms(config.losses, teacher, representation)


class LossTerms(nn.Module):
    """The terms of equation 13 by name, unweighted. The only networks here look at images, frozen.

    Args:
        config: Weights, and what each term leaves open.
        teacher: The histogram that the semantic codebook's relations follow, if they follow any.
        representation: Contrastive alignment, in the histogram's place.
    """

    def __init__(
        self, config: LossConfig, teacher: Tensor | None, representation: RepresentationTerm | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.histogram = None if teacher is None else HistogramRelationLoss(teacher, **config.histogram)
        self.perceptual = perceptual_term(config, PerceptualLoss, LPIPS.from_weights)
        self.representation = representation

    def forward(self, images: Tensor, out: TrainingOutput, logits: Tensor | None) -> dict[str, Tensor]:
        """Each term as a scalar; ``logits`` are what the discriminator says of the reconstruction."""
        terms = {
            "reconstruction": (out.reconstruction.float() - images).square().mean(),
            "quantization": self._quantization(out.semantic) + self._quantization(out.visual),
        }
        if self.histogram is not None:
            terms["histogram"] = self.histogram(out.semantic.codebook)
        if out.semantic.residual is not None and out.visual.residual is not None:
            visual = self._residual(out.visual, out.visual.residual)
            terms["residual"] = self._residual(out.semantic, out.semantic.residual) + visual
        if self.representation is not None and out.predicted is not None:
            terms["representation"] = self.representation(out.predicted, images)
            terms["disentanglement"] = disentanglement_loss(out.visual.quantized, out.semantic.quantized)
        if self.config.entropy_weight:
            terms["entropy"] = self._entropy(out.semantic) + self._entropy(out.visual)
        if self.config.chroma_weight:
            terms["chroma"] = chroma_loss(out.reconstruction, images)
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(out.reconstruction.float(), images)
        if logits is not None:
            terms["adversarial"] = generator_loss(logits.float(), kind=self.config.adversarial_kind)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return weighted_sum(terms, self.config)

    def _quantization(self, branch: Branch) -> Tensor:
        return codebook_commitment_loss(branch.features, branch.codes, beta=self.config.beta)

    def _entropy(self, branch: Branch) -> Tensor:
        codes = F.normalize(branch.codebook, dim=1)
        temperature = self.config.entropy_temperature
        return vector_entropy_loss(branch.features, codes, temperature=temperature, across_ranks=True)

    def _residual(self, branch: Branch, residual: Tensor) -> Tensor:
        """Equation 10 for one branch; with the code detached it trains the recovery module alone."""
        return residual_loss(
            branch.features,
            branch.codes,
            residual,
            norm=self.config.residual_norm,
            detach_quantized=self.config.residual_code == "detached",
        )


def generator_step(
    tokenizer: Learner, losses: LossTerms, adversary: nn.Module | None, micro_batches: list[Tensor], step: int
) -> tuple[dict[str, Tensor], list[Tensor], tuple[Tensor, Tensor]]:
    """One update of the tokenizer over all micro-batches.

    The discriminator takes part frozen and unwrapped, so no gradient reaches it and no process waits for it.

    Returns:
        The terms (means over the micro-batches), the detached reconstructions, and all features of both branches.
    """
    quantizer = tokenizer.accelerator.unwrap_model(tokenizer.model).quantizer
    log: dict[str, Tensor] = {}
    fakes, semantic, visual = [], [], []
    with frozen(adversary):
        for micro, images in micro_steps(tokenizer, step, micro_batches, log):
            with tokenizer.precision():
                out = tokenizer.model(images, detach=losses.config.residual_code == "detached")
                logits = None if adversary is None else adversary(out.reconstruction)
            terms = losses(images, out, logits)
            micro.backward(terms, losses.total(terms), {"images": images, "reconstruction": out.reconstruction})
            fakes.append(out.reconstruction.detach().float())
            semantic.append(out.semantic.features.detach())
            visual.append(out.visual.features.detach())
    quantizer.update()
    return log, fakes, (torch.cat(semantic), torch.cat(visual))


@torch.no_grad()
def initialize_codebooks(model: GloTok, train: Images, config: GloTokConfig, accelerator: Accelerator) -> None:
    """k-means of the untrained encoder's features, 16 of them a code while codes are few; equal on all processes."""
    positions = config.tokenizer.grid_size**2
    largest = max(config.tokenizer.semantic_codebook_size, config.tokenizer.visual_codebook_size)
    own = start_images(train, largest, positions, config.seed, accelerator)
    pairs = [model.features(train.batch(chunk).to(accelerator.device)) for chunk in own.split(64)]
    for quantizer, features in zip(
        (model.quantizer.semantic, model.quantizer.visual), zip(*pairs, strict=True), strict=True
    ):
        quantizer.initialize(torch.cat(features), generator=torch.Generator().manual_seed(config.seed))


def revive_codebooks(
    model: GloTok,
    average: AveragedModel | None,
    optimizer: Any,
    features: tuple[Tensor, Tensor],
    config: GloTokConfig,
    step: int,
) -> Tensor:
    """Replace codes that went unused by current features; the average takes them, the optimizer forgets their moments.

    Returns:
        How many codes were replaced in both books.
    """
    revived = 0
    kept: Any = model if average is None else average.module
    sides = (model.quantizer, kept.quantizer)
    books = zip(*((side.semantic, side.visual) for side in sides), features, strict=True)
    for book, (quantizer, averaged, z) in enumerate(books):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + 2 * step + book)
        rows = quantizer.revive(z, generator=generator, after=config.train.revive_every)
        follow_replaced_rows(quantizer.codebook, averaged.codebook, rows, optimizer)
        revived += len(rows)
    return torch.tensor(float(revived))
