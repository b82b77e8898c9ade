"""What the page's script reads: numbers as JSON, pixels as sprites."""

from typing import Any

import torch
from torch import Tensor

from vistok.workbench.inspection.codes import carriers, class_profile, neighbours_of_codes
from vistok.workbench.inspection.contents import Book, Inspection, Strip, affordable, as_shown
from vistok.workbench.inspection.edits import Edits
from vistok.workbench.inspection.pixels import patch, sprite

NEAR = 8
_LISTED = 1024  # codes of a book that are told of, unless the shown images hold more
_CROPS = 6  # of a code
_CROP_BYTES = 1_000_000
_DIGITS = 6


class Crops:
    """The patches of a page, each once, whatever number of codes and books ask for it."""

    def __init__(self, inspection: Inspection, per_code: int) -> None:
        self.inspection, self.per_code = inspection, per_code
        self._numbers: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self._pixels: list[Tensor] = []

    def number(self, image: int, place: int, grid: tuple[int, ...]) -> int:
        """The place of a patch in the sprite."""
        key = (image, 0 if len(grid) == 1 else place, grid)
        if key not in self._numbers:
            self._numbers[key] = len(self._pixels)
            self._pixels.append(patch(as_shown(self.inspection.images.pixels([image]))[0], place, grid))
        return self._numbers[key]

    def sprites(self) -> dict[str, object] | None:
        """All of them, as one picture."""
        return sprite(torch.stack(self._pixels)) if self._pixels else None


def page_data(inspection: Inspection, decoded: Tensor, edits: Edits) -> dict[str, Any]:
    """Everything that the page shows but its headings.

    Args:
        inspection: What it is about.
        decoded: The shown images through their tokens, as pixels of the page.
        edits: Their replaced tokens.
    """
    images, shown = inspection.images, inspection.shown
    listed = [listed_codes(book, shown) for book in inspection.books]
    crops = Crops(inspection, crops_of_a_code(inspection, sum(map(len, listed))))
    return {
        "classes": list(images.class_names),
        "numbers": shown.tolist(),
        "labels": images.labels[shown].tolist(),
        "count": len(images),
        "originals": sprite(as_shown(images.pixels(shown))),
        "decoded": sprite(decoded),
        "books": [
            _book_data(inspection, book, rows, crops) for book, rows in zip(inspection.books, listed, strict=True)
        ],
        "crops": crops.sprites(),
        "edits": {
            "images": edits.images,
            "places": edits.places,
            "neighbours": edits.neighbours,
            "sprite": sprite(edits.pixels) if len(edits.pixels) else None,
        },
        "strips": [_strip_data(strip) for strip in inspection.strips],
    }


def crops_of_a_code(inspection: Inspection, num_codes: int) -> int:
    """How many patches of each code fit. Where a token stands for the whole image, codes share what they show."""
    images, grid = inspection.images, inspection.books[0].grid
    one = patch(as_shown(images.pixels(inspection.shown[:1]))[0], 0, grid).numel()
    shared = len(grid) == 1 and len(images) * one <= _CROP_BYTES
    return _CROPS if shared else affordable(_CROP_BYTES, one * num_codes, _CROPS)


def listed_codes(book: Book, shown: Tensor) -> Tensor:
    """The rows of a book that the page tells of: all, or those of the shown images and the codes near them."""
    if len(book.codes) <= _LISTED:
        return torch.arange(len(book.codes))
    own = book.tokens[shown].unique()
    near, _ = neighbours_of_codes(book.codes, own, NEAR)
    few = near[:, : max(0, (_LISTED - len(own)) // len(own))]
    listed: Tensor = torch.cat([own, few.flatten()]).unique()
    return listed


def _book_data(inspection: Inspection, book: Book, rows: Tensor, crops: Crops) -> dict[str, Any]:
    images, shown = inspection.images, inspection.shown
    near, cosines = neighbours_of_codes(book.codes, rows, NEAR)
    profile = class_profile(book.tokens, images.labels, rows, len(book.codes), len(images.class_names))
    found = carriers(book.tokens, rows, len(images))
    codes = {}
    for index, row in enumerate(rows.tolist()):
        classes = profile[index]
        holding = found[index]
        codes[row] = {
            "count": int(classes.sum()),
            "images": len(holding),
            "near": near[index].tolist(),
            "cosines": [round(value, _DIGITS) for value in cosines[index].tolist()],
            "classes": [[label, int(classes[label])] for label in classes.nonzero()[:, 0].tolist()],
            "crops": [
                [crops.number(each.image, each.place, book.grid), each.image, each.place, each.times]
                for each in holding[: crops.per_code]
            ],
        }
    mentioned = torch.cat([rows, near.flatten()]).unique()
    plain = bool((book.numbers == torch.arange(len(book.numbers))).all())
    return {
        "name": book.name,
        "grid": book.grid,
        "bits": book.bits,
        "size": len(book.codes),
        "occurring": int(book.tokens.unique().numel()),
        "tokens": book.tokens[shown].flatten(1).tolist(),
        "numbers": None if plain else {row: int(book.numbers[row]) for row in mentioned.tolist()},
        "codes": codes,
    }


def _strip_data(strip: Strip) -> dict[str, Any]:
    pixels = as_shown(strip.images)
    return {
        "rows": list(strip.rows),
        "values": list(strip.values),
        "images": len(pixels),
        "sprite": sprite(pixels.flatten(0, 2)),
    }
