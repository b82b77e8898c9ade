"""The sizes that a training step is timed at, and what a step is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

CODES, CODE_DIM, LATENTS = 4096, 8, 64  # of tokenizers with codebooks
BASE, BLOCKS = 32, 2  # narrower than 32 channels LlamaGen's normalisation cannot be built
MULTIPLIERS = {32: (1, 2, 4), 64: (1, 2, 4), 128: (1, 1, 2, 4), 256: (1, 1, 2, 2, 4)}

WIDTH, HEADS = 384, 12  # of tokenizers with a sequence: the narrowest FlowMo that its rotation allows
ENCODER_DEPTH, DECODER_DEPTH, BITS, GROUP_BITS = 1, 2, 18, 9
NUM_TOKENS = {32: 32, 64: 64, 128: 64, 256: 128}
PATCH = {32: 4, 64: 8, 128: 8, 256: 8}

RATE, BETAS, CLIP = 1e-4, (0.9, 0.95), 1.0


class Shape(NamedTuple):
    """Images a side and images a step."""

    size: int
    batch: int

    def images(self) -> Tensor:
        """Noise in [-1, 1]."""
        return torch.rand(self.batch, 3, self.size, self.size) * 2 - 1


class TrainingStep(NamedTuple):
    """What is timed.

    Attributes:
        learning: The networks whose parameters learn.
        run: One update, given its number.
    """

    learning: Sequence[nn.Module]
    run: Callable[[int], object]

    def parameters(self) -> int:
        """How many parameters learn: those that a step gives a gradient."""
        return sum(p.numel() for module in self.learning for p in module.parameters() if p.grad is not None)
