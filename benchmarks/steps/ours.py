"""The training steps of the recipes, as these run them."""

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steps import sizes
from steps.sizes import Shape, TrainingStep

Wrap = Callable[[nn.Module], Any]  # what a network goes through before it is prepared, such as torch.compile


def unchanged(network: nn.Module) -> nn.Module:
    """A network as it is."""
    return network


def learner(network: Any, settings: Any, optimizer: Any, wrap: Wrap = unchanged) -> Any:
    """A network that learns as in the recipes, on the CPU."""
    from accelerate import Accelerator

    from vistok.workbench.run.allocator import keep_freed_memory
    from vistok.workbench.training.finite import FiniteLosses
    from vistok.workbench.training.update import Learner

    logging.getLogger("accelerate").setLevel(logging.ERROR)
    keep_freed_memory()
    losses = FiniteLosses(Path(tempfile.gettempdir()))
    return Learner.prepared(wrap(network), optimizer, Accelerator(cpu=True), settings, losses)


def vqgan(shape: Shape, precision: str) -> TrainingStep:
    """VQGAN's step with a loss of squared error and quantization: what LlamaGen's step is held to."""
    from vqgan.config import load
    from vqgan.model import VQGAN
    from vqgan.train_tokenizer import LossTerms, generator_step

    given = {
        "data.image_size": shape.size,
        "tokenizer.image_size": shape.size,
        "tokenizer.image_channels": 3,
        "tokenizer.base_channels": sizes.BASE,
        "tokenizer.multipliers": list(sizes.MULTIPLIERS[shape.size]),
        "tokenizer.num_blocks": sizes.BLOCKS,
        "tokenizer.latent_channels": sizes.LATENTS,
        "tokenizer.quantizer": f"{{kind: vector, codebook_size: {sizes.CODES}, code_dim: {sizes.CODE_DIM}}}",
        "losses.perceptual_weight": 0,
        "train.betas": list(sizes.BETAS),
        "train.clip_norm": sizes.CLIP,
        "train.batch_size": shape.batch,
        "train.mixed_precision": precision,
    }
    config = load("digits", tuple(f"{key}={value}" for key, value in given.items()))
    model, terms = VQGAN(config.tokenizer), LossTerms(config.losses, config.tokenizer.quantizer)
    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.RATE, betas=sizes.BETAS, fused=True)
    learns, images = learner(model, config.train, optimizer), shape.images()

    def step(index: int) -> None:
        generator_step(learns, terms, None, [images], index)

    return TrainingStep((model,), step)


def glotok_of(config: Any, images: Tensor, *, adversarial: bool, wrap: Wrap = unchanged) -> TrainingStep:
    """GloTok's step of a configuration, with or without the discriminator's; the teacher's histogram is a flat one."""
    from glotok.model import GloTok
    from glotok.networks import build_discriminator, build_head
    from glotok.representation import HeadedTokenizer, RepresentationTerm
    from glotok.train_tokenizer import LossTerms, generator_step
    from vistok.losses import discriminator_loss
    from vistok.workbench.training.adversarial_training import discriminator_step

    settings, bins, alignment = config.train, config.losses.histogram_bins, config.losses.alignment
    model, discriminator = GloTok(config.tokenizer), build_discriminator(config)
    terms = LossTerms(config.losses, torch.full((bins,), 1 / bins) if alignment == "histogram" else None)
    if alignment == "contrastive":
        terms.representation = RepresentationTerm(config.teacher, config.representation.temperature)
        model = HeadedTokenizer(model, build_head(config, terms.representation.backbone.dim))
    adam = partial(torch.optim.Adam, lr=sizes.RATE, betas=settings.betas, fused=True)
    learns = learner(model, settings, adam(model.parameters()), wrap)
    d_learns = learner(discriminator, settings, adam(discriminator.parameters()), wrap)
    loss = partial(discriminator_loss, kind=config.losses.adversarial_kind)

    def step(index: int) -> None:
        _, fakes, _ = generator_step(learns, terms, discriminator if adversarial else None, [images], index)
        if adversarial:
            discriminator_step(d_learns, [images], fakes, loss, index)

    return TrainingStep((model, discriminator) if adversarial else (model,), step)


def glotok(shape: Shape, precision: str, *, adversarial: bool) -> TrainingStep:
    """GloTok's step with the sizes of this benchmark, losses and discriminator as in its demo."""
    from glotok.config import load

    given = {
        "data.image_size": shape.size,
        "tokenizer.image_size": shape.size,
        "tokenizer.image_channels": 3,
        "tokenizer.base_channels": sizes.BASE,
        "tokenizer.multipliers": list(sizes.MULTIPLIERS[shape.size]),
        "tokenizer.num_blocks": sizes.BLOCKS,
        "tokenizer.latent_channels": sizes.LATENTS,
        "tokenizer.code_dim": sizes.CODE_DIM,
        "tokenizer.residual": "true",
        "tokenizer.semantic_codebook_size": sizes.CODES,
        "tokenizer.visual_codebook_size": sizes.CODES,
        "train.batch_size": shape.batch,
        "train.mixed_precision": precision,
    }
    config = load("digits", tuple(f"{key}={value}" for key, value in given.items()))
    return glotok_of(config, shape.images(), adversarial=adversarial)


def semtok_of(config: Any, images: Tensor, *, wrap: Wrap = unchanged) -> TrainingStep:
    """The step of SemTok's stage I without alignment, whose features a cache holds."""
    from semtok.draws import draw
    from semtok.model import SemTok
    from semtok.train_tokenizer import LossTerms, StageOne
    from vistok.workbench.training.update import micro_steps

    tokenizer = SemTok(config.tokenizer)
    model, terms = StageOne(config, tokenizer, None), LossTerms(config.losses, tokenizer)
    optimizer = torch.optim.Adam(model.parameters(), lr=sizes.RATE, betas=config.train.betas, fused=True)
    learns, places = learner(model, config.train, optimizer, wrap), torch.arange(len(images))

    def step(index: int) -> None:
        for micro, given in micro_steps(learns, index, [images], {}):
            draws = draw(places, index, 0, config.tokenizer, config.losses)
            with learns.precision():
                out, _ = learns.model(given, draws, None)
            values = terms(given, draws, out)
            micro.backward(values, terms.total(values), {"images": given})

    return TrainingStep((model,), step)


def semtok(shape: Shape, precision: str) -> TrainingStep:
    """SemTok's step with the sizes of this benchmark, and the losses that FlowMo has too: flow and entropy."""
    from semtok.config import load

    given = {
        "data.image_size": shape.size,
        "tokenizer.image_size": shape.size,
        "tokenizer.image_channels": 3,
        "tokenizer.patch_size": sizes.PATCH[shape.size],
        "tokenizer.num_tokens": sizes.NUM_TOKENS[shape.size],
        "tokenizer.bits": sizes.BITS,
        "tokenizer.encoder_width": sizes.WIDTH,
        "tokenizer.encoder_depth": sizes.ENCODER_DEPTH,
        "tokenizer.encoder_heads": sizes.HEADS,
        "tokenizer.decoder_width": sizes.WIDTH,
        "tokenizer.decoder_depth": sizes.DECODER_DEPTH,
        "tokenizer.decoder_heads": sizes.HEADS,
        "losses.entropy_of": "codes",
        "losses.entropy_group_bits": sizes.GROUP_BITS,
        "losses.perceptual_weight": 0,
        "losses.alignment_weight": 0,
        "train.batch_size": shape.batch,
        "train.mixed_precision": precision,
    }
    config = load("digits", tuple(f"{key}={value}" for key, value in given.items()))
    return semtok_of(config, shape.images())


def generator(name: str, batch: int, precision: str, *, wrap: Wrap = unchanged) -> TrainingStep:
    """The step of a generator of GloTok's demo, on random tokens."""
    from glotok.config import load
    from glotok.generator import build_generator
    from vistok.workbench.training.generator_training import TrainingLoss
    from vistok.workbench.training.optimizers import parameter_groups
    from vistok.workbench.training.seeds import seed_step
    from vistok.workbench.training.update import micro_steps

    config = load("digits", (f"generators.{name}.train.mixed_precision={precision}",))
    sizes_of, settings = config.tokenizer, config.generators[name].train
    model = build_generator(config, name, 10)
    grid, labels = sizes_of.grid_size, torch.arange(batch) % 10
    if name == "xar":
        inputs = torch.randn(batch, 2 * sizes_of.code_dim, grid, grid)
    else:
        inputs = torch.randint(sizes_of.semantic_codebook_size, (batch, grid * grid, 2))
    groups = parameter_groups(model.parameters(), settings.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=sizes.RATE, betas=settings.betas, fused=True)
    learns = learner(TrainingLoss(model), settings, optimizer, wrap)

    def step(index: int) -> None:
        for micro, given in micro_steps(learns, index, [inputs], {}):
            draws = seed_step(0, index, 0)
            with learns.precision():
                term = learns.model(given, labels, draws)
            micro.backward({name: term}, term, {"inputs": given})

    return TrainingStep((model,), step)
