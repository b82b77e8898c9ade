"""Books know the numbers of their codes; how much is shown depends on its size."""

import torch

from _support.few_tokens import few_images, few_tokens
from _support.mutants import catches
from vistok.workbench.inspection.contents import as_shown, choose_shown, occurring_book, whole_book

SUBJECT = "vistok.workbench.inspection.contents"


@catches(SUBJECT, "* 2 - 1).float(), numbers, bits)", ").float(), numbers, bits)")
@catches(SUBJECT, "return self.numbers[tokens]", "return tokens")
def test_a_book_of_bits_holds_the_codes_that_occur_under_their_numbers():
    tokens = torch.tensor([[9, 4, 4], [15, 9, 4]])
    book = occurring_book("binary", tokens, 4)
    assert torch.equal(book.numbered(book.tokens), tokens)
    assert book.numbers.tolist() == [4, 9, 15]
    signs = book.codes.long()
    assert ((signs == 1).long() * 2 ** torch.arange(4)).sum(1).tolist() == [4, 9, 15]
    assert set(signs.flatten().tolist()) == {-1, 1}


def test_a_whole_book_calls_its_codes_by_their_rows():
    tokens = few_tokens()
    book = whole_book("visual", tokens.int(), torch.randn(5, 2))
    assert torch.equal(book.numbered(book.tokens), tokens)
    assert book.grid == (2, 2)


@catches(SUBJECT, "(frames + 2) * images.channels * side * side", "images.channels * side * side")
def test_fewer_images_are_shown_where_each_takes_more():
    for side, frames, count in ((32, 18, 12), (64, 28, 4), (64, 10_000, 1)):
        shown = choose_shown(few_images(40, 3, side), frames)
        assert len(shown) == count
        assert shown[0] == 0
        assert count == 1 or shown[-1] == 39


@catches(SUBJECT, 'mode="area"', 'mode="nearest"')
@catches(SUBJECT, "small.round()", "small.floor()")
def test_a_large_image_is_averaged_down_and_a_small_one_is_left_alone():
    small = few_images(2, 1, 64).images
    assert torch.equal(as_shown(small), small)
    large = few_images(6, 1, 128).images
    means = large.double().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    shown = as_shown(large.view(2, 3, 1, 128, 128))
    assert shown.shape == (2, 3, 1, 64, 64)
    assert (shown.view(6, 1, 64, 64).double() - means).abs().max() <= 0.5
