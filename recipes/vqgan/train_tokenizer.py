"""Train the tokenizer: pixels, features, quantizer, and a PatchGAN from a start step. Read it top to bottom."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vistok.losses import (
    LPIPS,
    PerceptualLoss,
    binary_spherical_entropy_loss,
    chroma_loss,
    codebook_commitment_loss,
    discriminator_loss,
    generator_loss,
    lookup_free_entropy_loss,
    vector_entropy_loss,
)
from vistok.quantizers import VectorQuantizer
from vistok.workbench.data import Images
from vistok.workbench.run.devices import open_accelerator
from vistok.workbench.run.paths import RunPaths
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
from vqgan.config import LossConfig, VQGANConfig
from vqgan.model import VQGAN, TrainingOutput
from vqgan.networks import build_discriminator
from vqgan.quantizer import AnyQuantizerConfig, BinarySphericalConfig, BitsConfig, FiniteScalarConfig

STAGE = "tokenizer"


def train_tokenizer(config: VQGANConfig, paths: RunPaths, *, resume: bool) -> None:
    """Train on the training images; write checkpoints, metrics and ``paths.tokenizer``."""
    accelerator = open_accelerator()
    train = config.data.load().train
    settings = config.train

    torch.manual_seed(config.seed)
    model = VQGAN(config.tokenizer)
    discriminator = build_discriminator(config)
    terms = LossTerms(config.losses, config.tokenizer.quantizer).to(accelerator.device)
    d_loss = partial(discriminator_loss, kind=config.losses.adversarial_kind)
    model.to(accelerator.device)
    folder, writes = paths.tokenizer_checkpoints, accelerator.is_main_process
    anew = begins_anew(folder, resume=resume, init_from=settings.init_from)
    if anew and settings.codebook_start == "k_means" and hasattr(model.quantizer, "initialize"):
        initialize_codebook(model, train, config, accelerator)
    average = weight_average(model, settings.ema_decay)
    apply_switches(model, average, settings, accelerator, replicated=type(model.quantizer))
    optimizer: Any = build_optimizer(model, settings)
    d_optimizer: Any = torch.optim.Adam(discriminator.parameters(), betas=settings.betas, fused=True)

    objects = {"model": model, "discriminator": discriminator, "optimizer": optimizer}
    objects |= {"d_optimizer": d_optimizer, "average": average}
    finite = FiniteLosses(paths.folder)
    state = TrainState(folder, objects, every=settings.checkpoint_every, writes=writes, losses=finite)
    start = state.resume() if resume else 0
    if start == 0 and settings.init_from:
        start_from(Path(settings.init_from), model, state)
    metrics = MetricsLog(paths.metrics, enabled=writes)
    tokenizer = Learner.prepared(model, optimizer, accelerator, settings, finite)
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
        if config.train.revives_after(step.index) and isinstance(model.quantizer, VectorQuantizer):
            step.log["revived"] = revive_codebook(model, average, optimizer, features, config, step.index)

    save_whole(model if average is None else average.module, paths.tokenizer, writes=writes)
    accelerator.wait_for_everyone()


class LossTerms(nn.Module):
    """The terms by name, unweighted. The only network here is that of the perceptual term."""

    def __init__(self, config: LossConfig, quantizer: AnyQuantizerConfig) -> None:
        super().__init__()
        weight = quantizer.entropy if config.entropy_weight is None else config.entropy_weight
        self.config, self.kind = config.model_copy(update={"entropy_weight": weight}), quantizer
        self.perceptual = perceptual_term(config, PerceptualLoss, LPIPS.from_weights)

    def forward(self, images: Tensor, out: TrainingOutput, quantizer: Any, logits: Tensor | None) -> dict[str, Tensor]:
        """Each term as a scalar; ``logits`` are what the discriminator says of the reconstruction."""
        terms = {"reconstruction": (out.reconstruction.float() - images).square().mean()}
        if not isinstance(self.kind, FiniteScalarConfig):  # whose codes lie wherever features can
            terms["quantization"] = codebook_commitment_loss(out.features, out.codes, beta=self.config.beta)
        if self.config.entropy_weight:
            terms["entropy"] = self._entropy(out.features, quantizer)
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

    def _entropy(self, features: Tensor, quantizer: Any) -> Tensor:
        """Each token sure of its code, all codes used: of bits, a group of them at a time, or of a codebook."""
        config, kind = self.config, self.kind
        options: dict[str, Any] = {
            "temperature": config.entropy_temperature,
            "codebook_weight": config.entropy_codebook_weight,
            "across_ranks": True,
        }
        if isinstance(kind, BitsConfig):
            spherical = isinstance(kind, BinarySphericalConfig)
            of_bits = binary_spherical_entropy_loss if spherical else lookup_free_entropy_loss
            return of_bits(features, group_bits=kind.bits // kind.num_groups, **options)
        every = torch.arange(quantizer.codebook_size, device=features.device)
        return vector_entropy_loss(features, quantizer.indices_to_codes(every[None])[0].T, **options)


def generator_step(
    tokenizer: Learner, loss_terms: LossTerms, adversary: nn.Module | None, micro_batches: list[Tensor], step: int
) -> tuple[dict[str, Tensor], list[Tensor], Tensor]:
    """One update of the tokenizer over all micro-batches.

    The discriminator takes part frozen and unwrapped, so no gradient reaches it and no process waits for it.

    Returns:
        The terms (means over the micro-batches), the detached reconstructions, and all features in code space.
    """
    quantizer = tokenizer.accelerator.unwrap_model(tokenizer.model).quantizer
    log: dict[str, Tensor] = {}
    fakes, features = [], []
    with frozen(adversary):
        for micro, images in micro_steps(tokenizer, step, micro_batches, log):
            with tokenizer.precision():
                out = tokenizer.model(images)
                logits = None if adversary is None else adversary(out.reconstruction)
            terms = loss_terms(images, out, quantizer, logits)
            micro.backward(terms, loss_terms.total(terms), {"images": images, "reconstruction": out.reconstruction})
            fakes.append(out.reconstruction.detach().float())
            features.append(out.features.detach())
    if isinstance(quantizer, VectorQuantizer):
        quantizer.update()
    return log, fakes, torch.cat(features)


@torch.no_grad()
def initialize_codebook(model: VQGAN, train: Images, config: VQGANConfig, accelerator: Accelerator) -> None:
    """k-means of the untrained encoder's features, 16 of them a code while codes are few; equal on all processes."""
    positions, size = config.tokenizer.grid_size**2, config.tokenizer.quantizer.codebook_sizes[0]
    own = start_images(train, size, positions, config.seed, accelerator)
    features = [model.features(train.batch(chunk).to(accelerator.device)) for chunk in own.split(64)]
    model.quantizer.initialize(torch.cat(features), generator=torch.Generator().manual_seed(config.seed))


def revive_codebook(
    model: VQGAN, average: AveragedModel | None, optimizer: Any, features: Tensor, config: VQGANConfig, step: int
) -> Tensor:
    """Replace codes that went unused by current features; the average takes them, the optimizer forgets their moments.

    Returns:
        How many codes were replaced.
    """
    kept: Any = model if average is None else average.module
    quantizer, averaged = model.quantizer, kept.quantizer
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    rows = quantizer.revive(features, generator=generator, after=config.train.revive_every)
    follow_replaced_rows(quantizer.codebook, averaged.codebook, rows, optimizer)
    return torch.tensor(float(len(rows)))
