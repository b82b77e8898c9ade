"""Seeds by step: a resumed training draws what an uninterrupted one draws."""

import torch


def seed_step(seed: int, step: int, part: int = 0) -> torch.Generator:
    """Seed torch's global generator for a part of one step and return a generator for explicit draws.

    A part is a process, or a micro-batch counted over all processes. All randomness follows from
    ``(seed, step, part)``, so a resumed run needs no generator state: step 100 draws the same numbers whether or not
    steps 0 to 99 ran in this process.
    """
    mixed = (seed * 1_000_003 + step) * 4_099 + part
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 0x5DEECE66D)
