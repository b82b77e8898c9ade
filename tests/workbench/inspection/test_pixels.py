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


@catches(SUBJECT, "row, column = divmod(place, columns)", "column, row = divmod(place, columns)")
@catches(SUBJECT, "margin = min(height, width, _MARGIN)", "margin = 0")
@catches(SUBJECT, "top = min(round(row * bottom / rows)", "top = min(1 + round(row * bottom / rows)")
def test_a_patch_is_the_tokens_pixels_with_a_margin_that_repeats_the_border():
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    cut = patch(image, 1, (4, 4))
    assert cut.shape == (1, 6, 6)
    assert torch.equal(cut[:, 2:4, 2:4], image[:, 0:2, 2:4])
    assert torch.equal(cut[:, 4:, :], image[:, 2:4, 0:6])
    assert cut[0, 0].tolist() == cut[0, 2].tolist()


@catches(SUBJECT, "round(row * bottom / rows)", "row * (bottom // rows)")
@catches(SUBJECT, "round(column * right / columns)", "column * (right // columns)")
@catches(SUBJECT, ", right - width)", ", right)")
def test_a_patch_lies_where_its_token_does_though_the_grid_does_not_divide_the_picture():
    image = torch.arange(64).expand(64, -1)
    along = torch.stack([image.T, image]).byte()  # of each pixel its row and its column
    for tokens in (12, 14, 24, 28):
        side = 64 // tokens + 1
        margin = min(side, 4)
        for place in (0, tokens - 1, tokens * tokens // 2 + 3, tokens * tokens - 1):
            rows, columns = patch(along, place, (tokens, tokens))[:, margin:-margin, margin:-margin].float()
            assert rows.shape == (side, side)
            centres = torch.tensor([*divmod(place, tokens)]).add(0.5).mul(64 / tokens).sub(0.5)
            assert (torch.stack([rows.mean(), columns.mean()]) - centres).abs().max() <= 1


def test_a_token_without_a_place_stands_for_the_whole_image():
    image = few_images(1).images[0]
    assert torch.equal(patch(image, 3, (8,)), image)
