"""Blocks of 8-bit pixels of both sides."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import psnr, to_uint8
from vistok.metrics.reconstruction import _pixel_pairs
from vistok.metrics.reconstruction._pixel_pairs import pixel_pairs

SUBJECT = "vistok.metrics.reconstruction._pixel_pairs"


@catches(SUBJECT, "to_uint8(references[start : start + size])", "to_uint8(references[:size])")
@catches(SUBJECT, "range(0, max(1, len(images)), size)", "range(0, len(images) - size, size)")
def test_blocks_are_all_images_in_order(monkeypatch):
    x, y = uniform(0, 7, 3, 4, 5), uniform(1, 7, 3, 4, 5)
    for limit, blocks in ((2**18, [7]), (130, [2, 2, 2, 1]), (1, [1] * 7)):
        monkeypatch.setattr(_pixel_pairs, "_BLOCK", limit)
        pairs = list(pixel_pairs(x, y))
        assert [len(one) for one, _ in pairs] == blocks
        for side, wanted in zip(zip(*pairs, strict=True), (x, y), strict=True):
            assert torch.equal(torch.cat(side), to_uint8(wanted))


def test_no_images_are_one_empty_block():
    assert psnr(torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 4, 4)).shape == (0,)


@catches(SUBJECT, "_BLOCK // images.shape[1:].numel()", "_BLOCK")
def test_a_block_holds_a_bounded_number_of_values():
    images = torch.zeros(16, 3, 256, 256, dtype=torch.uint8)
    assert max(x.numel() for x, _ in pixel_pairs(images, images)) <= 2**18


@catches(SUBJECT, "images.shape != references.shape or ", "")
@catches(SUBJECT, " or 0 in images.shape[1:]", "")
@catches(SUBJECT, "images.ndim != 4", "images.ndim < 3")
def test_sides_that_do_not_belong_together_are_named():
    for images, references in (
        (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 1)),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)),
        (torch.zeros(2, 3, 0, 4), torch.zeros(2, 3, 0, 4)),
    ):
        with pytest.raises(ValueError, match=r"\Aimages and references must both be the same \(B, C, H, W\), got .*\Z"):
            list(pixel_pairs(images, references))
