"""A learned codebook in stage I: where it starts, and what becomes of codes that nothing chooses."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from semtok.config import SemTokConfig
from semtok.model import SemTok
from vistok.workbench.data import Images
from vistok.workbench.training.codebook_start import start_images
from vistok.workbench.training.replaced_rows import follow_replaced_rows


def is_learned(config: SemTokConfig) -> bool:
    """Whether the codes are learned."""
    return config.tokenizer.quantizer.kind == "vector"


@torch.no_grad()
def start_codebook(tokenizer: SemTok, train: Images, config: SemTokConfig, accelerator: Accelerator) -> None:
    """k-means of the untrained encoder's features, 16 of them a code while codes are few; equal on all processes.

    Nothing where codes are not learned, or start at random.
    """
    if not is_learned(config) or config.train.codebook_start == "random":
        return
    size, length = config.tokenizer.codebook_size, config.tokenizer.num_tokens
    own = start_images(train, size, length, config.seed, accelerator)
    features = [tokenizer.features(train.batch(chunk)) for chunk in own.split(64)]
    tokenizer.quantizer.initialize(torch.cat(features), generator=torch.Generator().manual_seed(config.seed))


@torch.no_grad()
def tend_codebook(
    tokenizer: SemTok, average: AveragedModel | None, optimizer: Any, features: Tensor, config: SemTokConfig, step: int
) -> dict[str, Tensor]:
    """After a step: count how long codes go unused; where the configuration says so, put its features in their place.

    The average of the weights takes the new codes, the optimizer forgets their moments. Nothing where codes are not
    learned.

    Returns:
        How many codes were replaced, for the log.
    """
    if not is_learned(config):
        return {}
    quantizer, kept = tokenizer.quantizer, tokenizer
    if average is not None:
        kept = average.module.tokenizer  # type: ignore[assignment]
    quantizer.update()
    if not config.train.revives_after(step):
        return {}
    draws = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    rows = quantizer.revive(features, generator=draws, after=config.train.revive_every)
    follow_replaced_rows(quantizer.codebook, kept.quantizer.codebook, rows, optimizer)
    return {"revived": torch.tensor(float(len(rows)))}
