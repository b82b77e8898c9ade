"""Generate images of every class."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from glotok.config import GloTokConfig, Kind
from glotok.encode import load_tokens
from glotok.generator import generate, load_generator
from glotok.model import GloTok
from glotok.paths import RunPaths
from vistok.workbench.data.pixels import to_uint8
from vistok.workbench.run import write_atomically
from vistok.workbench.training import best_device


def sample_images(config: GloTokConfig, paths: RunPaths, kind: Kind) -> None:
    """Write ``config.sample.num_samples`` images, the classes in turn, with their labels."""
    num_classes = json.loads(paths.generator(kind).with_suffix(".json").read_text())["num_classes"]
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    cache = load_tokens(paths)
    model = load_generator(config, paths, num_classes, kind).to(best_device())
    labels = torch.arange(config.sample.num_samples) % num_classes
    images = []
    for index, chunk in enumerate(tqdm(labels.split(config.sample.batch_size), desc=f"sample {kind}", unit="batch")):
        draws = torch.Generator().manual_seed(config.seed * 1_000_003 + index)
        images.append(to_uint8(generate(model, tokenizer, cache, chunk.to(tokenizer.device), config, draws)).cpu())
    write_atomically(paths.samples(kind), save({"images": torch.cat(images), "labels": labels}))


def load_samples(paths: RunPaths, kind: Kind) -> dict[str, Tensor]:
    """What :func:`sample_images` wrote."""
    return load_file(paths.samples(kind))
