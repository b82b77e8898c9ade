"""Generate images of every class."""

import torch
from torch import Tensor

from vistok.workbench.evaluation.sampling import write_samples
from vistok.workbench.run.devices import best_device
from vistok.workbench.training.generator_training import generator_record
from vqgan.config import VQGANConfig
from vqgan.encode import load_tokens
from vqgan.generator import generate, load_generator
from vqgan.model import VQGAN
from vqgan.paths import RunPaths


def sample_images(config: VQGANConfig, paths: RunPaths, generator: str, name: str) -> None:
    """Write the sample set ``name`` of a generator: images, the classes in turn, with their labels."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    cache = load_tokens(config, paths)
    model = load_generator(config, paths, generator).to(best_device())
    settings = config.generators[generator].samples[name]

    def draw(labels: Tensor, draws: torch.Generator) -> Tensor:
        return generate(model, tokenizer, cache, labels.to(tokenizer.device), settings, draws)

    num_classes = generator_record(paths, generator)["num_classes"]
    write_samples(paths.samples(generator, name), draw, settings, num_classes, seed=config.seed, name=generator)
