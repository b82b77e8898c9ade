"""The learning rate of each step."""

import math

import torch


def scheduled_rate(
    step: int, steps: int, *, peak: float, final: float = 0.0, warmup_steps: int = 0, decay_start: float = 1.0
) -> float:
    """Rate of a step: linear warm-up, constant, then a cosine from ``decay_start * steps`` on down to ``final``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    begin = decay_start * steps
    if step < begin or begin >= steps:
        return peak
    fraction = (step - begin) / (steps - begin)
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * fraction))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameter groups one learning rate, times their own ``rate_scale`` where they have one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_scale", 1.0)
