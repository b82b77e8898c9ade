"""Images and sizes that do not fit are told in one line."""

import pytest
import torch

from _support.mutants import catches
from vistok.tokenizers._checks import check_channel_dim, check_images, check_shape, check_sizes

SUBJECT = "vistok.tokenizers._checks"


@catches(SUBJECT, "images.ndim != 4 or ", "")
@catches(SUBJECT, "images.shape[1] != channels or", "")
@catches(SUBJECT, "side % stride or not side", "side % stride")
@catches(SUBJECT, "any(side", "all(side")
def test_only_colour_images_whose_sides_the_stride_divides_pass():
    check_images(torch.zeros(1, 3, 8, 12), 4)
    check_images(torch.zeros(0, 3, 4, 4), 4)
    for shape in ((1, 1, 32, 32), (1, 3, 30, 32), (1, 3, 32, 30), (3, 32, 32), (1, 3, 0, 32), (1, 3, 4, 32, 32)):
        with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got \("):
            check_images(torch.zeros(shape), 4)


@catches(SUBJECT, "images.shape[1] != channels", "images.shape[1] != 3")
@catches(SUBJECT, 'f"(B, {channels}, H, W)', 'f"(B, 3, H, W)')
def test_images_of_other_channels_pass_where_these_are_meant():
    check_images(torch.zeros(2, 1, 8, 12), 4, 1)
    with pytest.raises(ValueError, match=r"^images: expected \(B, 1, H, W\) .* by 4, got \(2, 3, 8, 12\)$"):
        check_images(torch.zeros(2, 3, 8, 12), 4, 1)


@catches(SUBJECT, "    check_floats(images)\n", "")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_that_are_no_floats_are_refused(dtype):
    check_images(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), 4)
    with pytest.raises(TypeError, match=rf"^images: expected floats in \[-1, 1\], got {dtype}$"):
        check_images(torch.zeros(1, 3, 8, 8, dtype=dtype), 4)


@catches(SUBJECT, "tensor.ndim != len(expected) or ", "")
@catches(SUBJECT, "not isinstance(size, str) and ", "")
@catches(SUBJECT, "and found != size", "and found > size")
def test_dimensions_that_are_numbers_must_agree_and_the_others_must_be_there():
    for shape in ((2, 5), (0, 5)):
        check_shape(torch.zeros(shape), ("B", 5), "tokens")
    for shape in ((2, 1), (2, 6), (2,), (2, 5, 1), ()):
        with pytest.raises(ValueError, match=r"^tokens: expected \(B, 5\), got \("):
            check_shape(torch.zeros(shape), ("B", 5), "tokens")


@catches(SUBJECT, "found not in expected", "found != expected[0]")
@catches(SUBJECT, "found not in expected", "found == 0")
def test_a_quantizer_whose_channels_are_elsewhere_is_refused():
    for fit in (-1, 2):
        check_channel_dim("Thing", fit, (-1, 2))
    with pytest.raises(ValueError, match=r"^Thing: quantizer: expected channel_dim -1 or 2, got 1$"):
        check_channel_dim("Thing", 1, (-1, 2))


@catches(SUBJECT, "< 1]", "< 0]")
@catches(SUBJECT, "min(size, default=0)", "min(size, default=1)")
@catches(SUBJECT, "min(size, default=0)", "max(size, default=0)")
def test_sizes_below_one_are_named_and_no_others():
    check_sizes("Thing", {"width": 1, "levels": (1, 2)})
    with pytest.raises(
        ValueError, match=r"^Thing: expected sizes of at least 1, got width=0, levels=\(\), steps=\(2, 0\)$"
    ):
        check_sizes("Thing", {"width": 0, "height": 3, "levels": (), "steps": (2, 0)})
