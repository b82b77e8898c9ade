"""Train a generator on cached tokens. The tokenizer itself is not needed."""

import torch
from torch import Tensor

from vistok.workbench.run.paths import RunPaths
from vistok.workbench.training.generator_training import Examples
from vistok.workbench.training.generator_training import train_generator as train
from vqgan.config import VQGANConfig
from vqgan.encode import load_tokens
from vqgan.generator import build_generator, generator_inputs


def train_generator(config: VQGANConfig, paths: RunPaths, name: str, *, resume: bool) -> None:
    """Train from ``paths.tokens``; write checkpoints, metrics and the weights (averaged where asked for)."""
    settings, cache = config.generators[name], load_tokens(config, paths)
    num_classes = int(cache.labels.max()) + 1
    torch.manual_seed(config.seed)
    model = build_generator(config, name, num_classes)

    def batch(indices: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the generator learns of these images; any of their variants, flipped or not where both are cached."""
        variants = cache.shards.draw_variants(len(indices), draws)
        return generator_inputs(config, settings, cache, cache.tokens(indices, variants)), cache.labels[indices]

    train(
        model,
        Examples(len(cache), batch),
        settings.train,
        paths,
        stage=name,
        seed=config.seed,
        resume=resume,
        record={"num_classes": num_classes, "class_names": config.data.load().train.class_names[:num_classes]},
    )
