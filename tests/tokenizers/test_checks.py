"""Images that do not fit are told in one line."""

import pytest
import torch

from _support.mutants import catches
from vistok.tokenizers._checks import check_images

SUBJECT = "vistok.tokenizers._checks"


@catches(SUBJECT, "images.ndim != 4 or ", "")
@catches(SUBJECT, "images.shape[1] != 3 or", "")
@catches(SUBJECT, "side % stride or not side", "side % stride")
@catches(SUBJECT, "any(side", "all(side")
def test_only_colour_images_whose_sides_the_stride_divides_pass():
    check_images(torch.zeros(1, 3, 8, 12), 4)
    check_images(torch.zeros(0, 3, 4, 4), 4)
    for shape in ((1, 1, 32, 32), (1, 3, 30, 32), (1, 3, 32, 30), (3, 32, 32), (1, 3, 0, 32), (1, 3, 4, 32, 32)):
        with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got \("):
            check_images(torch.zeros(shape), 4)
