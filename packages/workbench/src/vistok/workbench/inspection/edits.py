"""Images with one token replaced by a code near it, decoded beforehand for a page that cannot decode."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.contents import Decode, Inspection, affordable, as_shown
from vistok.workbench.progress import progress

NEIGHBOURS = 3
_IMAGES = 4
_BATCH = 50


@dataclass(frozen=True)
class Edits:
    """Which replacements there are, and what they give.

    Args:
        images: How many of the shown images, from the first on.
        places: In each book, the places whose token is replaced, in row-major order.
        neighbours: By how many of the nearest codes.
        pixels: ``(m, C, H, W)`` uint8: images, then books, then places, then neighbours, the last one fastest.
    """

    images: int
    places: Sequence[Sequence[int]]
    neighbours: int
    pixels: Tensor


@torch.no_grad()
def decode_shown(inspection: Inspection) -> Tensor:
    """The shown images through their tokens, as pixels of the page."""
    tokens = [book.numbered(book.tokens[inspection.shown]) for book in inspection.books]
    return _decoded(inspection.decode, zip(*(each.split(1) for each in tokens), strict=True), 0)


@torch.no_grad()
def decode_edits(inspection: Inspection, *, budget: int = 2_400_000) -> Edits:
    """Decode replacements, as many as fit into so many bytes of pixels.

    Where not all do, fewer images come first, then fewer places, spread over all.
    """
    books, shown = inspection.books, inspection.shown
    neighbours = min(NEIGHBOURS, *(len(book.codes) - 1 for book in books))
    side = as_shown(inspection.images.pixels(shown[:1]))
    lengths = [book.tokens[0].numel() for book in books]
    all_places = affordable(budget, side.numel() * max(1, neighbours), sum(lengths) * _IMAGES)
    images = affordable(all_places, sum(lengths), min(_IMAGES, len(shown)))
    each = affordable(all_places, images * len(books), max(lengths))
    places = [spread(length, each).tolist() for length in lengths]
    made = _replaced(inspection, images, places, neighbours)
    count = images * sum(map(len, places)) * neighbours
    pixels = _decoded(inspection.decode, made, count) if count else side[:0]
    return Edits(images, places, neighbours, pixels)


def _replaced(
    inspection: Inspection, images: int, places: Sequence[Sequence[int]], neighbours: int
) -> Iterator[tuple[Tensor, ...]]:
    """The tokens of each book ``(1, *grid)``, by their numbers, with one of them replaced."""
    for image in inspection.shown[:images]:
        original = [book.numbered(book.tokens[image])[None] for book in inspection.books]
        for index, book in enumerate(inspection.books):
            own = book.tokens[image].flatten()[list(places[index])]
            nearest, _ = neighbours_of_codes(book.codes, own, neighbours)
            for place, near in zip(places[index], nearest, strict=True):
                for row in near:
                    changed = original[index].clone()
                    changed.view(-1)[place] = book.numbers[row]
                    yield tuple(changed if number == index else each for number, each in enumerate(original))


def _decoded(decode: Decode, made: Iterator[tuple[Tensor, ...]], count: int) -> Tensor:
    """Decode tokens, some at a time, in the order in which they come."""
    parts: list[Tensor] = []
    batch: list[tuple[Tensor, ...]] = []
    for tokens in progress(made, "replace tokens", unit="images", total=count) if count > _BATCH else made:
        batch.append(tokens)
        if len(batch) == _BATCH:
            parts.append(as_shown(decode([torch.cat(each) for each in zip(*batch, strict=True)])))
            batch = []
    if batch:
        parts.append(as_shown(decode([torch.cat(each) for each in zip(*batch, strict=True)])))
    return torch.cat(parts)
