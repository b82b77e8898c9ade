"""A run's trained tokenizer, with what the configuration says of decoding: that is none of the training's identity."""

from semtok.config import SemTokConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from vistok.workbench.run.devices import best_device


def trained_tokenizer(config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None) -> SemTok:
    """The tokenizer of the last stage that is trained, on the best device, as ``config`` says that it decodes.

    Stage I's sampler, and the steps of a refiner that takes a few, are the configuration's, not those of the training.
    """
    tokenizer = SemTok.from_pretrained(paths.last_tokenizer, space=space).eval().to(best_device())
    tokenizer.sampler = config.sampler
    if tokenizer.refiner is not None:
        tokenizer.refiner.num_steps = config.refiner.num_steps
    return tokenizer
