"""Generate images of every class; by numbers of steps; and show some while they are being generated."""

import logging
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.generator import Generator, TokenGroups, generate, token_groups, with_steps_taken
from semtok.generator_config import MaskedSampleConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from semtok.pipeline import open_pipeline, pipeline_files
from vistok.metrics import to_uint8
from vistok.workbench.evaluation.sampling import drawn_by, write_samples
from vistok.workbench.run.paths import DEFAULT
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

logger = logging.getLogger(__name__)

PROGRESS = (0.125, 0.25, 0.5, 0.75, 1.0)  # shares of the tokens that are known
PROGRESS_CLASSES = 4
ORDERS: tuple[Literal["raster", "random"], ...] = ("raster", "random")


def sample_images(
    config: SemTokConfig, paths: RunPaths, generator: str, name: str, space: LatentSpace | None = None
) -> None:
    """Write the sample set ``name`` of a generator: images, the classes in turn, with their labels.

    For masked AR, the study of its steps goes beside them.
    """
    pipeline = open_pipeline(config, paths, generator, name, space)
    settings, num_classes = pipeline.settings, len(pipeline.class_names)
    masked: MaskedSampleConfig | None = None
    if isinstance(settings, MaskedSampleConfig) and process_index() == 0:
        masked = with_steps_taken(config, generator, settings)
        if masked.num_steps < settings.num_steps:
            logger.info("samples %s: %d of %d steps are taken", name, masked.num_steps, settings.num_steps)
    write_samples(
        paths.samples(generator, name),
        pipeline.draw,
        settings,
        num_classes,
        seed=config.seed,
        name=generator,
        made_by=drawn_by(config, pipeline_files(paths, generator)),
    )
    if masked is not None:
        groups = token_groups(config, generator)
        study = Study(pipeline.generator, pipeline.tokenizer, groups, masked, num_classes, config.seed)
        tensors = samples_by_steps(study)
        for order in ORDERS:
            tensors[order] = progress(study, order)
        save_tensors(paths.progress(generator, name), tensors)


@dataclass(frozen=True)
class Study:
    """What the study of masked AR's steps works with."""

    model: Generator
    tokenizer: SemTok
    groups: TokenGroups
    settings: MaskedSampleConfig
    num_classes: int
    seed: int


@torch.no_grad()
def samples_by_steps(study: Study) -> dict[str, Tensor]:
    """The same classes generated in more and more steps: ``by_steps (S, n, C, H, W)`` uint8, and their ``labels``."""
    labels = torch.arange(study.settings.progress_samples) % study.num_classes
    rows = []
    for steps in study.settings.progress_steps:
        draws = torch.Generator().manual_seed(study.seed)
        settings = study.settings.model_copy(update={"num_steps": steps})
        tokens = generate(study.model, labels.to(study.tokenizer.device), study.groups, settings, draws)
        rows.append(to_uint8(study.tokenizer.decode(tokens, generator=draws)).cpu())
    return {"by_steps": torch.stack(rows), "labels": labels}


@torch.no_grad()
def progress(study: Study, order: Literal["raster", "random"]) -> Tensor:
    """Images of stage I from the tokens known so far, ``(n, len(PROGRESS), C, H, W)`` uint8.

    The paper sets 1-D tokens beside 2-D ones while they are generated; here the same 1-D tokens come in ``order``.
    Tokens that are not known yet, all their groups, are hidden from the decoder. Every picture of a row starts from the
    same noise.
    """
    labels = (torch.arange(PROGRESS_CLASSES) % study.num_classes).to(study.tokenizer.device)
    changes = {"order": order, "num_steps": study.tokenizer.settings.num_tokens, "num_tokens": None}
    settings = study.settings.model_copy(update=changes)
    states: list[tuple[Tensor, Tensor]] = []
    generate(
        study.model,
        labels,
        study.groups,
        settings,
        torch.Generator().manual_seed(study.seed),
        observe=lambda groups, mask: states.append((groups, mask)),
    )
    columns = []
    for share in PROGRESS:
        groups, mask = next(state for state in states if (~state[1]).all(dim=-1).double().mean() >= share)
        noise = torch.Generator().manual_seed(study.seed)
        image = study.tokenizer.sample(study.groups.join(groups), hidden=mask.any(dim=-1), generator=noise)
        columns.append(to_uint8(image).cpu())
    return torch.stack(columns, dim=1)


def load_progress(paths: RunPaths, generator: str, name: str = DEFAULT) -> dict[str, Tensor]:
    """What :func:`sample_images` wrote beside the samples of masked AR."""
    return load_tensors(paths.progress(generator, name))
