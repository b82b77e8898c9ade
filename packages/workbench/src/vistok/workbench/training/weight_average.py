"""An average of a network's weights over the steps of its training."""

from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vistok.workbench.training.sharding import local


def weight_average(model: torch.nn.Module, decay: float) -> AveragedModel | None:
    """The exponential average of a model's weights that each step updates; none where ``decay`` is 0.

    Make it before :func:`vistok.workbench.training.switches.apply_switches` shards both.
    """
    move = get_ema_multi_avg_fn(decay)

    def move_local(averages: Any, weights: Any, count: Any) -> None:
        """Of weights that are sharded, each process moves the average of its part."""
        move([local(average) for average in averages], [local(weight) for weight in weights], count)

    return AveragedModel(model, multi_avg_fn=move_local) if decay else None
