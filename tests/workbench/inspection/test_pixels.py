"""A sprite holds every pixel as it was, a patch is where its token is."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from _support.few_tokens import few_images
from _support.mutants import catches
from vistok.workbench.inspection.pixels import patch, sprite

SUBJECT = "vistok.workbench.inspection.pixels"


@catches(SUBJECT, "permute(0, 3, 1, 4, 2)", "permute(0, 4, 1, 3, 2)")
@catches(SUBJECT, "rows * columns - count", "columns")
@catches(SUBJECT, "math.ceil(math.sqrt(count))", "count + 1")
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_cut_out_of_the_sprite_as_it_went_in(channels):
    images = few_images(7, channels).images
    sheet = sprite(images)
    assert (sheet["columns"], sheet["width"], sheet["height"], sheet["count"]) == (3, 4, 4, 7)
    kind, _, content = sheet["picture"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).reshape(12, 12, channels)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        assert np.array_equal(pixels[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4], image.permute(1, 2, 0))


@catches(SUBJECT, "row, column = divmod(place, grid[1])", "column, row = divmod(place, grid[1])")
@catches(SUBJECT, "margin = min(height, width, _MARGIN)", "margin = 0")
@catches(
    SUBJECT, "top, left = row * height, column * width", "top, left = row * height + margin, column * width + margin"
)
def test_a_patch_is_the_tokens_pixels_with_a_margin_that_repeats_the_border():
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    cut = patch(image, 1, (4, 4))
    assert cut.shape == (1, 6, 6)
    assert torch.equal(cut[:, 2:4, 2:4], image[:, 0:2, 2:4])
    assert torch.equal(cut[:, 4:, :], image[:, 2:4, 0:6])
    assert cut[0, 0].tolist() == cut[0, 2].tolist()


def test_a_token_without_a_place_stands_for_the_whole_image():
    image = few_images(1).images[0]
    assert torch.equal(patch(image, 3, (8,)), image)
