"""A tokenizer whose tokens are replaced one at a time: what the local app and a template for others build on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vistok.metrics import from_uint8, to_uint8
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.contents import Decode


@dataclass(frozen=True)
class EditedBook:
    """A codebook as an editor knows it.

    Args:
        name: What it is called.
        size: How many numbers there are.
        codes: ``(size, d)``; ``None`` where a code is the bits of its number.
    """

    name: str
    size: int
    codes: Tensor | None = None

    def nearest(self, number: int, count: int) -> list[tuple[int, float]]:
        """The numbers of the codes nearest to one, with their cosines; of bits those that differ in one, lowest first.

        Example:
            >>> EditedBook("tokens", 16).nearest(5, 2)
            [(4, 0.5), (7, 0.5)]
        """
        if self.codes is None:
            bits = self.size.bit_length() - 1
            return [(number ^ (1 << bit), 1 - 2 / bits) for bit in range(min(bits, count))]
        rows, cosines = neighbours_of_codes(self.codes, torch.tensor([number]), count)
        return list(zip(rows[0].tolist(), cosines[0].tolist(), strict=True))


@dataclass(frozen=True)
class TokenEditor:
    """Encodes images, and decodes tokens of which some were replaced.

    Args:
        title: Of the app.
        encode: From images ``(B, C, H, W)`` in ``[-1, 1]`` to the tokens ``(B, *grid)`` of each book.
        decode: Back to images.
        books: The codebooks.
        examples: Images to begin with, ``(n, C, H, W)`` uint8.
    """

    title: str
    encode: Callable[[Tensor], Sequence[Tensor]]
    decode: Decode
    books: Sequence[EditedBook]
    examples: Tensor

    @torch.no_grad()
    def tokens(self, image: Tensor) -> list[Tensor]:
        """The tokens of an image ``(C, H, W)`` uint8, ``(*grid)`` of each book, on the CPU."""
        return [each[0].cpu() for each in self.encode(from_uint8(image)[None])]

    @torch.no_grad()
    def image(self, tokens: Sequence[Tensor]) -> Tensor:
        """The image of tokens, ``(C, H, W)`` uint8."""
        return to_uint8(self.decode([each[None] for each in tokens]))[0].cpu()

    def replaced(self, tokens: Sequence[Tensor], book: int, place: int, number: int) -> list[Tensor]:
        """The tokens with one of them replaced; those given stay as they are.

        Raises:
            ValueError: There is no such place or no such code.
        """
        changed = [each.clone() for each in tokens]
        length, size = changed[book].numel(), self.books[book].size
        if not 0 <= place < length:
            raise ValueError(f"token: expected a place of 0 to {length - 1}, got {place}")
        if not 0 <= number < size:
            raise ValueError(f"code: expected a number of 0 to {size - 1}, got {number}")
        changed[book].view(-1)[place] = number
        return changed
