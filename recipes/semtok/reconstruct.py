"""Tokens of the validation images; reconstructions of some: both stages, by steps, noise and parts of the tokens."""

import copy
from collections.abc import Container

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.encode import TOKENS, token_coder
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from semtok.trained import trained_tokenizer
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import encode_images

SHOWN = 12
PREFIX = (0.125, 0.25, 0.5, 0.75, 1.0)  # shares of the tokens, from the first on
PREFIX_IMAGES = 6


@torch.no_grad()
def reconstruct_validation(config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None) -> None:
    """Write the tokens of all validation images, of some the originals and what both stages make, and the studies.

    Of a run without stage II there is what stage I makes.
    """
    tokenizer = trained_tokenizer(config, paths, space)
    _, validation = config.data.load()
    tokens = encode_images(token_coder(tokenizer), validation)[TOKENS]
    if process_index() > 0:
        return
    shown, noisy, parts = (
        spread(len(validation), count) for count in (SHOWN, config.reconstruct.noise_images, PREFIX_IMAGES)
    )
    tensors = {"tokens": tokens, "labels": validation.labels}
    if tokenizer.refiner is not None:
        tensors["refined"] = tokenizer.refine(tokens[shown], generator=_draws(config))
    for count in config.reconstruct.stage_one_steps:
        tensors[stage_one(count)] = StageOneDecoder(tokenizer, count).decode(tokens[shown], _draws(config))
    tensors["seeds"] = noise_study(tokenizer, tokens[noisy], config)
    tensors["prefix"] = prefix_study(tokenizer, tokens[parts], config)
    for name, indices in (("originals", shown), ("noise originals", noisy), ("prefix originals", parts)):
        tensors[name] = validation.batch(indices)
    pixels = {name: to_uint8(tensor) for name, tensor in tensors.items() if tensor.is_floating_point()}
    save_tensors(paths.reconstructions, {name: tensor.cpu() for name, tensor in {**tensors, **pixels}.items()})


class StageOneDecoder:
    """Stage I of a tokenizer in so many steps."""

    def __init__(self, tokenizer: SemTok, steps: int) -> None:
        self.tokenizer, self.device = tokenizer, tokenizer.device
        self.sampler = tokenizer.sampler.model_copy(update={"num_steps": steps})

    def decode(self, tokens: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images of tokens, from noise of a generator or of the default one."""
        return self.tokenizer.sample(tokens, self.sampler, generator=generator)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images through their tokens, as an evaluation asks for them."""
        return self.decode(self.tokenizer.encode(images))


def stage_one(steps: int) -> str:
    """The name of stage I's reconstructions in so many steps, whichever of them a jump to the image leaves out."""
    return f"stage I, {steps} steps" if steps > 1 else "stage I, 1 step"


def in_one_step(tokenizer: SemTok) -> SemTok:
    """A tokenizer that decodes by stage II, after all the sampler's steps where these make its input; else in one step.

    Without stage II that is stage I's one step.
    """
    if tokenizer.refiner is None:
        tokenizer = copy.copy(tokenizer)
        tokenizer.sampler = tokenizer.sampler.model_copy(update={"num_steps": 1})
    return tokenizer


def last_stage(measures: Container[str], *, one_step: bool = False) -> str:
    """What decoded the images of an evaluation, or those of :func:`in_one_step`."""
    if "refined" in measures:
        return "stage II"
    return "stage I in one step" if one_step else "stage I"


@torch.no_grad()
def noise_study(tokenizer: SemTok, tokens: Tensor, config: SemTokConfig) -> Tensor:
    """Stage I from several noises for the same tokens: ``(n, noise_seeds, C, H, W)``."""
    rows = [
        tokenizer.sample(tokens, generator=torch.Generator().manual_seed(config.seed * 7_919 + seed))
        for seed in range(config.reconstruct.noise_seeds)
    ]
    return torch.stack(rows, dim=1)


@torch.no_grad()
def prefix_study(tokenizer: SemTok, tokens: Tensor, config: SemTokConfig) -> Tensor:
    """Stage I, then stage II if there is one, from the first part of the tokens, the rest hidden.

    ``(n, stages, len(PREFIX), C, H, W)``.
    """
    decoders = [tokenizer.sample] if tokenizer.refiner is None else [tokenizer.sample, tokenizer.refine]
    stages: list[list[Tensor]] = [[] for _ in decoders]
    for share in PREFIX:
        hidden = (torch.arange(tokens.shape[1]) >= round(share * tokens.shape[1])).expand(len(tokens), -1)
        for row, decode in zip(stages, decoders, strict=True):
            noise = torch.Generator().manual_seed(config.seed)
            row.append(decode(tokens, hidden=hidden, generator=noise))
    return torch.stack([torch.stack(row, dim=1) for row in stages], dim=1)


def _draws(config: SemTokConfig) -> torch.Generator:
    return torch.Generator().manual_seed(config.seed * 1_009)


def load_reconstructions(paths: RunPaths) -> dict[str, Tensor]:
    """What :func:`reconstruct_validation` wrote."""
    return load_tensors(paths.reconstructions)
