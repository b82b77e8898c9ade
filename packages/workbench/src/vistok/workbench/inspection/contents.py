"""What a page shows of a tokenizer: its codebooks and held-out images, and how much of it fits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from vistok.metrics import index_bits, to_uint8
from vistok.workbench.data import Images
from vistok.workbench.evaluation.sampling import spread

SIDE = 64  # pixels: larger images are averaged down to it
SHOWN = 12
_SHOWN_BYTES = 1_500_000

Decode = Callable[[Sequence[Tensor]], Tensor]
"""From the tokens ``(B, *grid)`` of each book, by their numbers, to images ``(B, C, H, W)`` in ``[-1, 1]``."""


@dataclass(frozen=True)
class Book:
    """A codebook, and the tokens of all held-out images in it.

    Args:
        name: What the page calls it.
        tokens: ``(N, *grid)`` int64, rows of ``codes``; the grid is ``(h, w)``, or ``(T,)`` where tokens have no place.
        codes: ``(K, d)``.
        numbers: What the tokenizer calls each row, ``(K,)`` int64.
        bits: Of a number, where a code is its number's bits; else 0.
    """

    name: str
    tokens: Tensor
    codes: Tensor
    numbers: Tensor
    bits: int = 0

    @property
    def grid(self) -> tuple[int, ...]:
        """The shape of an image's tokens."""
        return tuple(self.tokens.shape[1:])

    def numbered(self, tokens: Tensor) -> Tensor:
        """Rows of the codebook as the tokenizer's numbers."""
        return self.numbers[tokens]


def whole_book(name: str, tokens: Tensor, codes: Tensor, bits: int = 0) -> Book:
    """A codebook of which every code is known by its row."""
    return Book(name, tokens.long().cpu(), codes.detach().cpu(), torch.arange(len(codes)), bits)


def occurring_book(name: str, tokens: Tensor, bits: int) -> Book:
    """Of a codebook of all patterns of so many bits, the codes that occur in tokens, lowest bit first.

    Example:
        >>> book = occurring_book("tokens", torch.tensor([[6, 1], [1, 1]]), 3)
        >>> book.numbers.tolist(), book.tokens.tolist(), book.codes.tolist()
        ([1, 6], [[1, 0], [0, 0]], [[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0]])
    """
    numbers, rows = tokens.long().cpu().unique(return_inverse=True)
    return Book(name, rows, (index_bits(numbers, bits) * 2 - 1).float(), numbers, bits)


@dataclass(frozen=True)
class Strip:
    """Pictures of which a slider shows one.

    Args:
        title: Its heading.
        note: What the pictures are.
        rows: What is shown, one of which is chosen, such as samples of several classes.
        values: How far the slider is, in words.
        images: ``(n, rows, values, C, H, W)`` uint8, of each of the shown images; or ``n = 1``, the same for all.
    """

    title: str
    note: str
    rows: Sequence[str]
    values: Sequence[str]
    images: Tensor


@dataclass(frozen=True)
class Inspection:
    """All that a page is made of.

    Args:
        title: Its heading.
        about: The lines under it: which images, who made them.
        images: The held-out ones.
        shown: The numbers of those that are shown.
        books: The codebooks.
        decode: From tokens to images.
        strips: Pictures with a slider.
        histograms: Of pairwise cosines over equal bins of ``[-1, 1]``, by what they are of.
        missing: What the page could not show, and why.
    """

    title: str
    about: Sequence[str]
    images: Images
    shown: Tensor
    books: Sequence[Book]
    decode: Decode
    strips: Sequence[Strip] = ()
    histograms: Mapping[str, Tensor] = field(default_factory=dict)
    missing: Sequence[str] = ()


def choose_shown(images: Images, frames: int) -> Tensor:
    """The numbers of the images that are shown, over the whole set: as many as fit with so many frames of each."""
    side = min(images.image_size, SIDE)
    return spread(len(images), affordable(_SHOWN_BYTES, (frames + 2) * images.channels * side * side, SHOWN))


def affordable(budget: int, each: int, wanted: int) -> int:
    """As many as are wanted and fit, one at least.

    Example:
        >>> affordable(100, 30, 9), affordable(100, 30, 2), affordable(100, 300, 2)
        (3, 2, 1)
    """
    return max(1, min(wanted, budget // each))


def as_shown(images: Tensor) -> Tensor:
    """Images ``(..., C, H, W)``, uint8 or in ``[-1, 1]``, as pixels of the page: averaged down where a side is long."""
    pixels = to_uint8(images).cpu()
    if max(pixels.shape[-2:]) <= SIDE:
        return pixels
    small = F.interpolate(pixels.flatten(0, -4).float(), (SIDE, SIDE), mode="area")
    shown: Tensor = small.round().to(torch.uint8).unflatten(0, pixels.shape[:-3])
    return shown
