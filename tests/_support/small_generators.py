"""Small xAR, FAR and masked AR networks, with weights large enough for every part of them to show.

They come from the package as it is when they are asked for: with a bug planted, from the copy that holds it.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from _support.strategies import seeded

LABELS = torch.tensor([1, 4, 2])


def _package() -> Any:
    return import_module("vistok.generators")


def small_xar(**options: Any) -> Any:
    """Eight tokens a cell, two by two cells on a grid of 4 x 8."""
    torch.manual_seed(0)
    g = _package()
    model = g.XAR(3, (4, 8), (2, 4), 5, width=32, depth=4, num_heads=2, options=g.XAROptions(**options))
    for position in (model.first_positions, model.second_positions, model.labels.table.weight):
        torch.nn.init.normal_(position)
    return model.eval()


def small_far(sizes: tuple[int, ...] = (7, 11), **options: Any) -> Any:
    """Streams on a grid of 2 x 3."""
    torch.manual_seed(0)
    g = _package()
    options = {"head_depth": 1, **options}
    model = g.FAR(sizes, (2, 3), 5, width=32, depth=2, num_heads=2, options=g.FAROptions(**options))
    return _spread(model).eval()


def far_variants() -> Iterator[Any]:
    """Both rotations of the class token, one to three streams in two orders."""
    yield small_far()
    yield small_far(prefix_rotation="zero", head_depth=2)
    yield small_far((7, 11, 5), stream_order=(2, 0, 1))
    yield small_far((9,), head_depth=0)


def far_tokens(model: Any, batch: int = 3) -> Tensor:
    """Ids for every stream."""
    return torch.stack([torch.randint(size, (batch, 6), generator=seeded(size)) for size in model.codebook_sizes], -1)


def small_masked(kind: str = "ids", shape: int | tuple[int, int] = (2, 3), **options: Any) -> Any:
    """Six positions of two units each."""
    torch.manual_seed(0)
    g = _package()
    tokens = g.IdTokens((7, 11)) if kind == "ids" else g.BitTokens(6, 2)
    settings = g.MaskedAROptions(**options)
    return _spread(g.MaskedAR(tokens, shape, 5, width=32, depth=2, num_heads=2, options=settings)).eval()


def masked_variants() -> Iterator[Any]:
    """Ids and bits, pre-norm and post-norm, learned and rotary positions."""
    yield small_masked()
    yield small_masked("bits", 6, post_norm=True)
    yield small_masked(positions="rotary")


def masked_tokens(model: Any) -> Tensor:
    """Ids for every unit."""
    return torch.stack([torch.randint(size, (3, 6), generator=seeded(size)) for size in model.tokens.unit_sizes], -1)


def _spread(model: Any) -> Any:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model
