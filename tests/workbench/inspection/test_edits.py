"""Every replaced token is what decoding it alone gives, in the order that the page counts in; few enough of them."""

import torch

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from vistok.metrics import to_uint8
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.contents import Inspection, occurring_book, whole_book
from vistok.workbench.inspection.edits import _decoded, decode_edits, decode_shown

SUBJECT = "vistok.workbench.inspection.edits"


def inspection(books=None):
    books = books or [
        whole_book("a", few_tokens(), few_codes()),
        whole_book("b", few_tokens(seed=3), few_codes(seed=4)),
    ]
    return Inspection("few", (), few_images(), torch.tensor([1, 4, 5]), books, painted)


@catches(SUBJECT, "changed.view(-1)[place] = book.numbers[row]", "changed.view(-1)[place - 1] = book.numbers[row]")
@catches(SUBJECT, "changed if number == index else each", "each if number == index else changed")
@catches(SUBJECT, "changed = original[index].clone()", "changed = original[index]")
@catches(SUBJECT, "for image in inspection.shown[:images]:", "for image in range(images):")
def test_a_replacement_is_the_image_of_its_tokens_decoded_alone():
    page = inspection()
    edits = decode_edits(page)
    assert (edits.images, edits.places, edits.neighbours) == (3, [[0, 1, 2, 3]] * 2, 3)
    index = 0
    for image in page.shown:
        for number, book in enumerate(page.books):
            for place in range(4):
                near, _ = neighbours_of_codes(book.codes, book.tokens[image].flatten()[place : place + 1], 3)
                for row in near[0]:
                    tokens = [each.tokens[image].clone() for each in page.books]
                    tokens[number].view(-1)[place] = row
                    alone = to_uint8(painted([each[None] for each in tokens]))[0]
                    assert torch.equal(edits.pixels[index], alone)
                    index += 1
    assert len(edits.pixels) == index == 3 * 2 * 4 * 3


@catches(SUBJECT, "[book.numbered(book.tokens[inspection.shown]) for", "[book.tokens[inspection.shown] for")
@catches(SUBJECT, "if batch:\n        parts", "if not parts:\n        parts")
def test_shown_images_are_decoded_by_the_numbers_of_their_tokens():
    tokens = few_tokens(60) * 2 + 1
    book = occurring_book("bits", tokens, 4)
    page = Inspection("few", (), few_images(60), torch.arange(60), [book], painted)
    assert torch.equal(decode_shown(page), to_uint8(painted([tokens])))


@catches(SUBJECT, "affordable(all_places, sum(lengths), min(_IMAGES, len(shown)))", "min(_IMAGES, len(shown))")
@catches(SUBJECT, "side.numel() * max(1, neighbours)", "side.numel()")
def test_images_go_first_then_places_where_not_all_fits():
    for kept, images, places in ((72, 3, 4), (50, 2, 4), (24, 1, 4), (12, 1, 2)):
        edits = decode_edits(inspection(), budget=kept * 16)
        assert (edits.images, len(edits.places[0]), len(edits.pixels)) == (images, places, images * places * 2 * 3)


def test_a_book_of_one_code_has_nothing_to_replace_a_token_by():
    page = inspection(books=[whole_book("one", few_tokens(codes=1), few_codes(1))])
    assert len(decode_edits(page).pixels) == 0


def test_a_few_images_are_decoded_without_a_word_of_progress(caplog):
    made = iter([(torch.zeros(1, 2, 2, dtype=torch.int64),)] * 3)
    with caplog.at_level("INFO"):
        pixels = _decoded(lambda tokens: torch.zeros(len(tokens[0]), 1, 4, 4), made, 0)
    assert len(pixels) == 3
    assert caplog.records == []
