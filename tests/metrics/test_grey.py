"""One channel of three, as files of grey images and tokenizers of them agree on it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.mutants import catches
from vistok.metrics import open_images
from vistok.metrics.images.grey import GreyImages

SUBJECT = "vistok.metrics.images.grey"


@catches(SUBJECT, "(19595, 38470, 7471)", "(21845, 21845, 21846)")
@catches(SUBJECT, "+ _HALF >> 16", ">> 16")
@given(st.integers(0, 1000))
def test_colours_become_the_luma_of_pillow_to_the_bit(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    grey = GreyImages(open_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in pixels]
    assert np.array_equal(grey.batch([0, 1])[:, 0].numpy(), np.stack(expected))
    assert grey.shape == (1, 5, 7)


@catches(SUBJECT, "(19595, 38470, 7471)", "(19595, 38470, 6471)")
def test_grey_stays_grey_in_one_channel_or_in_three():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for images in (levels, levels.expand(1, 3, 16, 16)):
        grey = GreyImages(open_images(images))
        assert torch.equal(grey.batch([0]), levels)
        assert (len(grey), list(grey.names)) == (1, ["0"])


def test_it_is_said_that_colours_were_taken_away():
    images = open_images(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    said = GreyImages(images).describe()
    assert (said["channels"], said["colour"]) == ("1", "luma of Rec. 601")
    assert {name for name in said if said[name] != images.describe().get(name)} == {"channels", "colour"}
