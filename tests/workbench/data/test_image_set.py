"""A set in memory: crops from the right image, and nothing that does not fit together."""

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.data import ImageSet
from vistok.workbench.data.image_set import at_a_time

SUBJECT = "vistok.workbench.data.image_set"


@catches(SUBJECT, "for i, draw in pairs", "for i, (_, draw) in enumerate(pairs)")
def test_a_crop_is_cut_from_its_own_image():
    more = tuple(torch.arange(6, dtype=torch.uint8).expand(1, 4, 6).contiguous() + 10 * number for number in range(3))
    images = torch.stack([pixels[:, :, 1:5] for pixels in more])
    loaded = ImageSet(images, torch.zeros(3, dtype=torch.int64), ("all",), "ramps", uncropped=more)
    draws = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.99]])
    first_columns = ((loaded.batch([2, 1], draws)[:, 0, 0, 0] + 1) * 127.5).round()
    assert first_columns.tolist() == [20, 12]


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64), "uint8"),
        (torch.zeros(1, 1, 2, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), "square"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"int64 \(1,\)"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([1]), "0 to 0"),
    ],
)
def test_an_image_set_that_does_not_fit_together_is_refused(images, labels, words):
    with pytest.raises(ValueError, match=words):
        ImageSet(images, labels, ("all",), "bad")


@catches(SUBJECT, "100 * 128**2 // image_size**2", "100 * 256**2 // image_size**2")
@catches(SUBJECT, "if number <= most), 1)", "if number <= most), 0)")
def test_images_at_a_time_hold_as_many_pixels_and_divide_a_hundred():
    numbers = {size: at_a_time(size) for size in range(1, 3000, 7)}
    assert all(100 % number == 0 for number in numbers.values())
    assert all(number == 1 or number * size**2 <= 100 * 128**2 for size, number in numbers.items() if size > 128)
    assert (at_a_time(128), at_a_time(129), at_a_time(256), at_a_time(4096)) == (100, 50, 25, 1)
