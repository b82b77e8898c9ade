"""Strips of a generation as it goes on: which places are known at each step, and the strip of what was decoded."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vistok.metrics import to_uint8
from vistok.workbench.inspection.contents import Strip

SAMPLES = 4
STATES = 9


def raster_masks(side: int, cell: int = 1) -> Tensor:
    """Which places of a square grid are known while it is filled cell by cell, row after row: none at first.

    Args:
        side: Of the grid, in places.
        cell: Of a cell, in places.

    Returns:
        ``(cells + 1, side, side)`` bool.

    Example:
        >>> raster_masks(2)[3].tolist()
        [[True, True], [True, False]]
    """
    row, column = torch.meshgrid(torch.arange(side) // cell, torch.arange(side) // cell, indexing="ij")
    order = row * (side // cell) + column
    return order < torch.arange((side // cell) ** 2 + 1)[:, None, None]


def generation_strip(name: str, classes: Sequence[str], states: Sequence[Tensor], known: Sequence[float]) -> Strip:
    """The strip of some samples while they are generated.

    Args:
        name: Of the generator.
        classes: Of each sample.
        states: Images ``(n, C, H, W)`` in ``[-1, 1]``, one a state.
        known: In each state, the share of the tokens that is known.
    """
    images = torch.stack([to_uint8(state).cpu() for state in states], dim=1)
    note = f"Samples of {name}, decoded from the tokens that are known so far."
    return Strip(
        "Generation step by step", note, tuple(classes), [f"{share:.0%} of the tokens" for share in known], images[None]
    )
