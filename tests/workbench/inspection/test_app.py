"""The app asks for gradio when it is started, and turns pictures and places into what an editor takes."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.inspection.app import as_example, editor_app, enlarged, load_gradio, place_at
from vistok.workbench.inspection.editor import EditedBook, TokenEditor

SUBJECT = "vistok.workbench.inspection.app"


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_a_missing_gradio_is_told_in_one_line_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ConfigError, match=r"^serve: needs gradio \(.*\); pip install 'vistok-workbench\[app\]'$"):
        load_gradio()


@catches(SUBJECT, "(picture.width - side) // 2, (picture.height - side) // 2", "(picture.height - side) // 2, 0")
@catches(SUBJECT, '"L" if channels == 1 else "RGB"', '"RGB" if channels == 1 else "L"')
def test_a_picture_becomes_its_middle_at_the_size_of_the_examples():
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, 4:12] = 200
    grey = as_example(Image.fromarray(pixels), few_images(1).images[0])
    assert grey.shape == (1, 4, 4)
    assert grey.unique().tolist() == [200]
    assert as_example(Image.fromarray(pixels), few_images(1, 3).images[0]).shape == (3, 4, 4)


@catches(SUBJECT, "grid[::-1]", "grid")
@catches(SUBJECT, "row * grid[1] + column", "column * grid[1] + row")
def test_a_place_on_the_picture_is_the_token_under_it():
    pixels = ((0, 0), (319, 0), (0, 319), (161, 100), (170, 170))
    assert [place_at(pixel, (2, 4), (320, 320)) for pixel in pixels] == [0, 3, 4, 2, 6]
    assert place_at((255, 255), (16, 16), (256, 256)) == 255
    assert place_at((383, 0), (4, 8), (384, 192)) == 7
    assert place_at((100, 100), (32,), (320, 320)) == 0


@catches(SUBJECT, "Image.Resampling.NEAREST", "Image.Resampling.BILINEAR")
def test_a_picture_is_enlarged_by_squares():
    image = few_images(1).images[0]
    picture = np.asarray(enlarged(image))
    assert picture.shape == (320, 320)
    assert np.array_equal(picture[40::80, 40::80], image[0])
    assert len(np.unique(picture)) == len(image.unique())


@pytest.mark.slow
def test_the_app_is_built_and_replaces_a_token():
    gradio = pytest.importorskip("gradio", reason="gradio is not installed: the extra app")
    books = [EditedBook("a", 5, few_codes()), EditedBook("b", 16)]
    editor = TokenEditor(
        "few", lambda images: [few_tokens(1), few_tokens(1, seed=3)], painted, books, few_images().images
    )
    app = editor_app(editor)
    assert isinstance(app, gradio.Blocks)
    begin, replace = (next(f.fn for f in app.fns.values() if f.fn.__name__ == name) for name in ("begin", "replace"))
    tokens, original, *_ = begin(0)
    changed, kept, before, after, code, near, text = replace(tokens, original, "b", 3, 9)
    assert int(changed[1].flatten()[3]) == code == 9
    assert torch.equal(kept[1], original[1])
    assert not np.array_equal(np.asarray(before), np.asarray(after))
    assert near[0] == [8, 0.5]
    assert text == "b token 3: code 9"
    with pytest.raises(gradio.Error, match="expected a number of 0 to 15, got 16"):
        replace(tokens, original, "b", 3, 16)
