"""Reconstruct the validation images: stage I by numbers of steps, by noise, by parts of the tokens; and stage II."""

import torch
from torch import Tensor
from tqdm import tqdm

from semtok.config import SemTokConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from vistok.metrics import to_uint8
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

PREFIX = (0.125, 0.25, 0.5, 0.75, 1.0)  # shares of the tokens, from the first on
PREFIX_IMAGES = 6


@torch.no_grad()
def reconstruct_validation(
    config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None, *, batch_size: int = 100
) -> None:
    """Write originals, tokens, reconstructions of both stages, and the two studies."""
    tokenizer = SemTok.from_pretrained(paths.refined, space=space).eval().to(best_device())
    _, validation = config.data.load()
    steps = config.reconstruct.stage_one_steps
    columns: dict[str, list[Tensor]] = {name: [] for name in ("originals", "tokens", "refined")}
    columns |= {stage_one(count): [] for count in steps}
    chunks = torch.arange(len(validation)).split(batch_size)
    for number, chunk in enumerate(tqdm(chunks, desc="reconstruct", unit="batch")):
        images = validation.batch(chunk)
        tokens = tokenizer.encode(images)
        columns["originals"].append(to_uint8(images))
        columns["tokens"].append(tokens)
        noise = torch.Generator().manual_seed(config.seed * 1_009 + number)
        columns["refined"].append(to_uint8(tokenizer.refine(tokens, generator=noise)))
        for count in steps:
            sampler = config.sampler.model_copy(update={"num_steps": count})
            noise = torch.Generator().manual_seed(config.seed * 1_009 + number)
            columns[stage_one(count)].append(to_uint8(tokenizer.sample(tokens, sampler, generator=noise)))
    tensors = {name: torch.cat(parts) for name, parts in columns.items()}
    tensors["labels"] = validation.labels
    shown = spread(len(validation), config.reconstruct.noise_images)
    tensors["seeds"] = to_uint8(noise_study(tokenizer, tensors["tokens"][shown], config))
    shown = spread(len(validation), PREFIX_IMAGES)
    tensors["prefix"] = to_uint8(prefix_study(tokenizer, tensors["tokens"][shown], config))
    save_tensors(paths.reconstructions, tensors)


def spread(count: int, wanted: int) -> Tensor:
    """At most so many indices, evenly over all: data sets are often sorted by class."""
    return torch.linspace(0, count - 1, min(wanted, count)).long()


def stage_one(steps: int) -> str:
    """The name of stage I's reconstructions in so many steps."""
    return f"stage I, {steps} steps" if steps > 1 else "stage I, 1 step"


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
    """Stage I, then stage II, from the first part of the tokens, the rest hidden: ``(n, 2, len(PREFIX), C, H, W)``."""
    stages: list[list[Tensor]] = [[], []]
    for share in PREFIX:
        hidden = (torch.arange(tokens.shape[1]) >= round(share * tokens.shape[1])).expand(len(tokens), -1)
        for row, decode in zip(stages, (tokenizer.sample, tokenizer.refine), strict=True):
            noise = torch.Generator().manual_seed(config.seed)
            row.append(decode(tokens, hidden=hidden, generator=noise))
    return torch.stack([torch.stack(row, dim=1) for row in stages], dim=1)


def load_reconstructions(paths: RunPaths) -> dict[str, Tensor]:
    """What :func:`reconstruct_validation` wrote."""
    return load_tensors(paths.reconstructions)
