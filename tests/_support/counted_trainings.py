"""A training small enough to count by hand."""

import torch
from torch import nn

from vistok.workbench.cost.trainings import DryRun, Training
from vistok.workbench.training.generator_training import GeneratorTrainConfig

PARAMETERS = 3 * 32 * 32 + 32 * 5


class Blocks(nn.Module):
    """Three equal blocks, and a layer beside them."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(32, 32, bias=False) for _ in range(3))
        self.last = nn.Linear(32, 5, bias=False)

    def loss(self, inputs, labels, generator=None):
        for block in self.blocks:
            inputs = block(inputs)
        return self.last(inputs).float().square().mean()


def blocks(**settings) -> Training:
    dry_run = DryRun()
    given = GeneratorTrainConfig(**{"steps": 100, "batch_size": 48, "ema_decay": 0.5} | settings)
    return dry_run.generator("toy", Blocks, given, lambda size: torch.zeros(size, 32, device="meta"))
