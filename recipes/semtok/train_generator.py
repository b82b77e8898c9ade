"""Train a generator on cached tokens. The tokenizer itself is not needed."""

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.encode import TOKENS, load_tokens
from semtok.generator import build_generator, token_groups
from semtok.paths import RunPaths
from vistok.workbench.training.generator_training import Examples
from vistok.workbench.training.generator_training import train_generator as train


def train_generator(config: SemTokConfig, paths: RunPaths, name: str, *, resume: bool) -> None:
    """Train from ``paths.tokens``; write checkpoints, metrics and the weights (averaged where asked for)."""
    cache, groups = load_tokens(paths), token_groups(config, name)
    num_classes = int(cache.labels.max()) + 1
    torch.manual_seed(config.seed)
    model = build_generator(config, name, num_classes)

    def batch(indices: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Tokens and labels of these images; any of their variants, flipped or not where both are cached."""
        variants = cache.draw_variants(len(indices), draws)
        return groups.split(cache.pick(TOKENS, indices, variants)), cache.labels[indices]

    train(
        model,
        Examples(len(cache), batch),
        config.generators[name].train,
        paths,
        stage=name,
        seed=config.seed,
        resume=resume,
        record={"num_classes": num_classes, "class_names": config.data.load().train.class_names[:num_classes]},
    )
