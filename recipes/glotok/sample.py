"""Generate images of every class."""

from __future__ import annotations

import torch
from torch import Tensor

from glotok.config import GloTokConfig, Kind
from glotok.encode import load_tokens
from glotok.generator import generate, load_generator
from glotok.model import GloTok
from glotok.paths import RunPaths
from vistok.workbench.generator_training import generator_record
from vistok.workbench.sampling import write_samples
from vistok.workbench.training import best_device


def sample_images(config: GloTokConfig, paths: RunPaths, kind: Kind) -> None:
    """Write ``config.sample.num_samples`` images, the classes in turn, with their labels."""
    num_classes = generator_record(paths, kind)["num_classes"]
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    cache = load_tokens(paths)
    model = load_generator(config, paths, num_classes, kind).to(best_device())

    def draw(labels: Tensor, draws: torch.Generator) -> Tensor:
        return generate(model, tokenizer, cache, labels.to(tokenizer.device), config, draws)

    settings = config.sample
    write_samples(
        paths.samples(kind), draw, settings.num_samples, num_classes,
        batch_size=settings.batch_size, seed=config.seed, name=kind,
    )  # fmt: skip
