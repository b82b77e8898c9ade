"""Stage I: encoder, quantizer and diffusion decoder together, with semantic alignment. Read it top to bottom."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semtok.alignment import AlignmentHeads, Targets, TargetSource
from semtok.alignment_choices import ChosenHeads, Predicted, alignment_terms
from semtok.code_terms import code_terms
from semtok.codebook import start_codebook, tend_codebook
from semtok.config import LossConfig, SemTokConfig
from semtok.draws import Draws, draw
from semtok.model import LatentSpace, SemTok, TrainingOutput
from semtok.paths import RunPaths
from semtok.prediction import flow_loss, to_image
from semtok.times import annealed
from vistok.losses import LPIPS, PerceptualLoss
from vistok.quantizers import VectorQuantizer
from vistok.workbench.run.devices import open_accelerator
from vistok.workbench.run.tracking import MetricsLog
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.learning_rate import set_learning_rate
from vistok.workbench.training.loop import own_micro_batches, training_steps
from vistok.workbench.training.micro_batches import MicroBatch, training_batches
from vistok.workbench.training.optimizers import build_optimizer
from vistok.workbench.training.perceptual_term import perceptual_term
from vistok.workbench.training.sharded_state import save_whole
from vistok.workbench.training.start import begins_anew, start_from
from vistok.workbench.training.state import TrainState
from vistok.workbench.training.switches import apply_switches
from vistok.workbench.training.update import Learner, micro_steps, weighted_sum
from vistok.workbench.training.weight_average import weight_average

STAGE = "tokenizer"
PARTS = ("encoder", "decoder", "quantizer")  # that begin with the weights of another tokenizer


def train_tokenizer(config: SemTokConfig, paths: RunPaths, *, resume: bool, space: LatentSpace | None = None) -> None:
    """Train on the training images; write checkpoints, metrics and ``paths.tokenizer``."""
    # What the last block does to the tokens reaches no loss.
    accelerator = open_accelerator(find_unused_parameters=True)
    train = config.data.load().train
    settings, losses = config.train, config.losses
    targets = TargetSource(config, paths, train, accelerator) if config.aligned else None

    torch.manual_seed(config.seed)
    tokenizer = SemTok(config.tokenizer, sampler=config.sampler, space=space)
    bare = StageOne(config, tokenizer, targets.dim if targets else None).to(accelerator.device)
    terms = LossTerms(losses, tokenizer).to(accelerator.device)
    folder, writes = paths.tokenizer_checkpoints, accelerator.is_main_process
    if begins_anew(folder, resume=resume, init_from=settings.init_from):
        start_codebook(tokenizer, train, config, accelerator)
    average = weight_average(bare, settings.ema_decay)
    apply_switches(bare, average, settings, accelerator, replicated=VectorQuantizer)
    optimizer: Any = build_optimizer(bare, settings)

    objects = {"model": bare, "optimizer": optimizer, "average": average}
    finite = FiniteLosses(paths.folder)
    state = TrainState(folder, objects, every=settings.checkpoint_every, writes=writes, losses=finite)
    start = state.resume() if resume else 0
    if start == 0 and settings.init_from:
        read = partial(SemTok.from_pretrained, space=space)
        start_from(Path(settings.init_from), tokenizer, state, parts=PARTS, read=read)
    metrics = MetricsLog(paths.metrics, enabled=writes)
    learner = Learner.prepared(bare, optimizer, accelerator, settings, finite)
    loaded = training_batches(train, settings, config.data, accelerator, start=start, seed=config.seed)

    for step in training_steps(STAGE, settings, state, metrics, accelerator, start=start, seed=config.seed):
        set_learning_rate(optimizer, step.rate)
        batches, shown = next(loaded), step.shown
        made = tokenizer_step(learner, targets, terms, batches, config, step.index, shown=shown)
        step.log, features, step.pictures = made
        if average is not None:
            average.update_parameters(bare)
        step.log |= tend_codebook(tokenizer, average, optimizer, features, config, step.index)

    final: Any = bare if average is None else average.module
    save_whole(final.tokenizer, paths.tokenizer, writes=writes)
    accelerator.wait_for_everyone()


def tokenizer_step(
    learner: Learner,
    targets: Callable[[MicroBatch], Targets] | None,
    terms: "LossTerms",
    batches: list[MicroBatch],
    config: SemTokConfig,
    step: int,
    *,
    shown: bool = False,
) -> tuple[dict[str, Tensor], Tensor, tuple[Tensor, Tensor] | None]:
    """One update of the tokenizer over all micro-batches.

    Returns:
        The terms, means over the micro-batches; all features before quantization; images and what one step makes of
        them, if they are to be shown.
    """
    settings, losses = config.train, annealed(config.losses, step, config.train.steps)
    places = own_micro_batches(torch.arange(settings.batch_size), settings.accumulation, learner.accelerator)
    log: dict[str, Tensor] = {}
    features, pictures = [], None
    for micro, batch in micro_steps(learner, step, batches, log):
        draws = draw(places[micro.index], step, config.seed, config.tokenizer, losses)
        draws, wanted = draws.to(learner.accelerator.device), targets(batch) if targets else None
        with learner.precision():
            out, predicted = learner.model(batch.images, draws, wanted)
        values = terms(batch.images, draws, out)
        if wanted is not None:
            values |= alignment_terms(predicted, wanted, config.alignment)
        micro.backward(values, terms.total(values), {"images": batch.images})
        features.append(out.features.detach().float())
        if shown:
            with torch.no_grad():
                pictures = batch.images, terms.one_step(draws, out)
    return log, torch.cat(features), pictures


class StageOne(nn.Module):
    """The tokenizer with its alignment heads: one forward pass, so that a data-parallel wrapper sees all of it."""

    def __init__(self, config: SemTokConfig, tokenizer: SemTok, target_dim: int | None) -> None:
        super().__init__()
        sizes, alignment = config.tokenizer, config.alignment
        self.after_quantization, self.decoder_block = alignment.queries == "codes", alignment.decoder_block
        self.tokenizer = tokenizer
        self.heads = (
            AlignmentHeads(sizes.encoder_width, sizes.num_tokens, sizes.code_dim, alignment.hidden_width, target_dim)
            if target_dim
            else None
        )
        self.chosen = ChosenHeads(sizes, alignment, target_dim) if target_dim else None

    def forward(self, images: Tensor, draws: Draws, targets: Targets | None) -> tuple[TrainingOutput, Predicted | None]:
        """The tokenizer's pass, and the heads' predictions where there are targets."""
        out = self.tokenizer(images, draws, self.decoder_block)
        if self.heads is None or self.chosen is None or targets is None:
            return out, None
        queries = out.quantized if self.after_quantization else self.tokenizer.quantizer.to_code_space(out.features)
        predicted = self.heads(out.patches, queries, targets.patches.shape[1:3])
        return out, self.chosen(queries, out.hidden, predicted)


class LossTerms(nn.Module):
    """Stage I's terms by name, unweighted."""

    def __init__(self, config: LossConfig, tokenizer: SemTok) -> None:
        super().__init__()
        self.config = config
        self.perceptual = perceptual_term(config, PerceptualLoss, LPIPS.from_weights)
        self._tokenizer = (tokenizer,)  # not a submodule: only its latent space is asked

    def forward(self, images: Tensor, draws: Draws, out: TrainingOutput) -> dict[str, Tensor]:
        """Each term as a scalar."""
        decoded = self._of_decoder(images, draws, out)
        terms = {"flow": decoded.pop("flow")}
        terms |= code_terms(self.config, self._tokenizer[0], out) | decoded
        if out.predicted_from_some is not None:
            terms["nested"] = self.total(
                self._of_decoder(images, draws, out._replace(predicted=out.predicted_from_some))
            )
        return terms

    def _of_decoder(self, images: Tensor, draws: Draws, out: TrainingOutput) -> dict[str, Tensor]:
        out = out._replace(predicted=out.predicted.float())
        terms = {"flow": self._flow(draws, out)}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(self.one_step(draws, out), images)
        return terms

    def one_step(self, draws: Draws, out: TrainingOutput) -> Tensor:
        """The images where a single step from the noisy ones ends."""
        tokenizer = self._tokenizer[0]
        prediction = tokenizer.settings.prediction
        estimate = to_image(out.predicted.float(), out.x_t, draws.t[:, None, None, None], prediction)
        return tokenizer.from_space(estimate)

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return weighted_sum(terms, self.config)

    def _flow(self, draws: Draws, out: TrainingOutput) -> Tensor:
        """The squared error of what is predicted, in the space that is asked for."""
        kinds = self._tokenizer[0].settings.prediction, self.config.flow_loss_space
        return flow_loss(out.predicted, out.target, draws.noise, draws.t[:, None, None, None], *kinds)
