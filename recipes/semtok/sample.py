"""Generate images of every class; by numbers of steps; and show some while they are being generated."""

from __future__ import annotations

import torch
from torch import Tensor

from semtok.config import Kind, SemTokConfig
from semtok.generator import Generator, from_groups, generate, load_generator
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from vistok.generators import MaskedAR
from vistok.workbench.data.pixels import to_uint8
from vistok.workbench.generator_training import generator_record
from vistok.workbench.sampling import write_samples
from vistok.workbench.tensor_files import load_tensors, save_tensors
from vistok.workbench.training import best_device

PROGRESS = (0.125, 0.25, 0.5, 0.75, 1.0)  # shares of the tokens that are known
PROGRESS_CLASSES = 4


def sample_images(config: SemTokConfig, paths: RunPaths, kind: Kind, space: LatentSpace | None = None) -> None:
    """Write ``config.sample.num_samples`` images, the classes in turn, with their labels; and the progress study."""
    num_classes = generator_record(paths, kind)["num_classes"]
    tokenizer = SemTok.from_pretrained(paths.refined, space=space).eval().to(best_device())
    model = load_generator(config, paths, num_classes, kind).to(best_device())

    def draw(labels: Tensor, draws: torch.Generator) -> Tensor:
        tokens = generate(model, labels.to(tokenizer.device), config, draws)
        return tokenizer.refine(tokens, generator=draws)

    settings = config.sample
    write_samples(
        paths.samples(kind), draw, settings.num_samples, num_classes,
        batch_size=settings.batch_size, seed=config.seed, name=kind,
    )  # fmt: skip
    if isinstance(model, MaskedAR):
        tensors = samples_by_steps(model, tokenizer, num_classes, config)
        for order in ("raster", "random"):
            tensors[order] = progress(model, tokenizer, num_classes, config, order)
        save_tensors(paths.progress(kind), tensors)


@torch.no_grad()
def samples_by_steps(model: Generator, tokenizer: SemTok, num_classes: int, config: SemTokConfig) -> dict[str, Tensor]:
    """The same classes generated in more and more steps: ``by_steps (S, n, C, H, W)`` uint8, and their ``labels``."""
    labels = torch.arange(config.sample.progress_samples) % num_classes
    rows = []
    for steps in config.sample.progress_steps:
        draws = torch.Generator().manual_seed(config.seed)
        settings = config.sample.model_copy(update={"num_steps": steps})
        tokens = generate(model, labels.to(tokenizer.device), config, draws, settings=settings)
        rows.append(to_uint8(tokenizer.refine(tokens, generator=draws)).cpu())
    return {"by_steps": torch.stack(rows), "labels": labels}


@torch.no_grad()
def progress(model: Generator, tokenizer: SemTok, num_classes: int, config: SemTokConfig, order: str) -> Tensor:
    """Images of stage I from the tokens known so far, ``(n, len(PROGRESS), C, H, W)`` uint8 (Fig. 5 of the paper).

    Tokens that are not known yet, all their groups, are hidden from the decoder. Every picture of a row starts from the
    same noise.
    """
    labels = (torch.arange(PROGRESS_CLASSES) % num_classes).to(tokenizer.device)
    settings = config.sample.model_copy(update={"order": order, "num_steps": config.tokenizer.num_tokens})
    states: list[tuple[Tensor, Tensor]] = []
    draws = torch.Generator().manual_seed(config.seed)
    generate(
        model, labels, config, draws, settings=settings, observe=lambda groups, mask: states.append((groups, mask))
    )
    columns = []
    for share in PROGRESS:
        groups, mask = next(state for state in states if (~state[1]).all(dim=-1).double().mean() >= share)
        noise = torch.Generator().manual_seed(config.seed)
        image = tokenizer.sample(from_groups(groups, config), hidden=mask.any(dim=-1), generator=noise)
        columns.append(to_uint8(image).cpu())
    return torch.stack(columns, dim=1)


def load_progress(paths: RunPaths, kind: Kind) -> dict[str, Tensor]:
    """What :func:`sample_images` wrote beside the samples of masked AR."""
    return load_tensors(paths.progress(kind))
