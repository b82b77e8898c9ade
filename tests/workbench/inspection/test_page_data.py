"""What the page's script reads is what the arrays say, and little enough of it."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.contents import Inspection, Strip, as_shown, occurring_book, whole_book
from vistok.workbench.inspection.edits import decode_edits, decode_shown
from vistok.workbench.inspection.page_data import crops_of_a_code, listed_codes, page_data
from vistok.workbench.inspection.pixels import patch

SUBJECT = "vistok.workbench.inspection.page_data"
SHOWN = torch.tensor([1, 4, 5])


def inspection(books=None):
    books = books or [whole_book("a", few_tokens(20), few_codes()), occurring_book("b", few_tokens(20, seed=3) + 8, 4)]
    strips = [Strip("parts", "", ("x", "y"), ("0", "1", "2"), torch.arange(3 * 2 * 3).byte().view(3, 2, 3, 1, 1, 1))]
    return Inspection("few", (), few_images(20), SHOWN, books, painted, strips)


def told(page):
    return page_data(page, decode_shown(page), decode_edits(page))


def pixels(sheet, index):
    """What the page's script cuts out of a sprite."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["picture"].partition(",")[2]))))
    row, column = divmod(index, sheet["columns"])
    height, width = sheet["height"], sheet["width"]
    return torch.from_numpy(picture[row * height : (row + 1) * height, column * width : (column + 1) * width].copy())


@catches(SUBJECT, "book.tokens[shown].flatten(1)", "book.tokens[: len(shown)].flatten(1)")
@catches(SUBJECT, '"labels": images.labels[shown]', '"labels": images.labels[: len(shown)]')
@catches(SUBJECT, "classes = profile[index]", "classes = profile[row - 1]")
@catches(
    SUBJECT,
    "near, cosines = neighbours_of_codes(book.codes, rows, NEAR)",
    "cosines, near = neighbours_of_codes(book.codes, rows, NEAR)",
)
@catches(SUBJECT, '"images": len(holding)', '"images": len(holding[: crops.per_code])')
def test_every_number_of_a_code_is_counted_in_the_arrays():
    page = inspection()
    data = told(page)
    assert data["numbers"] == [1, 4, 5]
    assert data["labels"] == page.images.labels[SHOWN].tolist()
    for book, shown in zip(page.books, data["books"], strict=True):
        assert shown["tokens"] == book.tokens[SHOWN].flatten(1).tolist()
        assert list(shown["codes"]) == list(range(len(book.codes)))
        for row, code in shown["codes"].items():
            where = book.tokens.flatten(1) == row
            assert code["count"] == int(where.sum())
            assert code["images"] == int(where.any(1).sum())
            classes = [[c, int(where[page.images.labels == c].sum())] for c in range(3)]
            assert code["classes"] == [pair for pair in classes if pair[1]]
            near, cosines = neighbours_of_codes(book.codes, torch.tensor([row]), 8)
            assert code["near"] == near[0].tolist()
            assert np.allclose(code["cosines"], cosines[0], atol=1e-6)
    assert data["books"][0]["numbers"] is None
    assert data["books"][1]["numbers"] == dict(enumerate(page.books[1].numbers.tolist()))


@catches(SUBJECT, "key = (image, 0 if len(grid) == 1 else place, grid)", "key = (image, 0, grid)")
@catches(SUBJECT, "self._numbers[key] = len(self._pixels)", "self._numbers[key] = 0")
def test_every_patch_in_the_sprite_is_that_of_the_image_and_place_it_is_told_for():
    page = inspection()
    data = told(page)
    for book, shown in zip(page.books, data["books"], strict=True):
        for row, code in shown["codes"].items():
            for index, image, place, count in code["crops"]:
                tokens = book.tokens[image].flatten()
                assert tokens[place] == row
                assert int((tokens == row).sum()) == count
                assert torch.equal(pixels(data["crops"], index), patch(page.images.images[image], place, (2, 2))[0])


@catches(SUBJECT, '"originals": sprite(as_shown(images.pixels(shown)))', '"originals": sprite(decoded)')
@catches(SUBJECT, "sprite(pixels.flatten(0, 2))", "sprite(pixels.transpose(0, 1).flatten(0, 2))")
def test_pictures_lie_where_the_script_looks_for_them():
    page = inspection()
    data = told(page)
    decoded = decode_shown(page)
    for index, image in enumerate(SHOWN):
        assert torch.equal(pixels(data["originals"], index), page.images.images[image, 0])
        assert torch.equal(pixels(data["decoded"], index), decoded[index, 0])
    strip = data["strips"][0]
    assert (strip["rows"], strip["values"], strip["images"]) == (["x", "y"], ["0", "1", "2"], 3)
    assert [int(pixels(strip["sprite"], index)) for index in range(18)] == list(range(18))


@catches(SUBJECT, "(_LISTED - len(own)) // len(own)", "_LISTED")
@catches(SUBJECT, "near[:, :", "near[:1, :")
def test_of_a_large_book_the_page_tells_of_the_shown_codes_and_those_near_them():
    draws = torch.Generator().manual_seed(0)
    tokens, codes = torch.randint(0, 3000, (6, 10, 10), generator=draws), torch.randn(3000, 3, generator=draws)
    book = whole_book("large", tokens, codes)
    listed = listed_codes(book, SHOWN)
    own = tokens[SHOWN].unique()
    assert set(own.tolist()) < set(listed.tolist())
    near, _ = neighbours_of_codes(codes, own, 1)
    assert set(near.flatten().tolist()) <= set(listed.tolist())
    assert len(listed) <= 1024


@catches(SUBJECT, "shared = len(grid) == 1 and", "shared =")
def test_fewer_patches_of_a_code_where_there_are_many_codes():
    page = inspection()
    assert crops_of_a_code(page, 100) == 6
    assert crops_of_a_code(page, 10_000) == 1_000_000 // (6 * 6 * 10_000)
    sequence = occurring_book("sequence", few_tokens().flatten(1), 4)
    assert crops_of_a_code(inspection([sequence]), 10_000) == 6
    assert as_shown(page.images.pixels([0])).shape == (1, 1, 4, 4)
