"""Pairs of images: by name without what follows the dot, by position, and what has no counterpart."""

import numpy as np
import pytest
import torch
from PIL import Image

from _support.mutants import catches
from vistok.metrics import open_pairs

SUBJECT = "vistok.metrics.images.pairs"
PIXELS = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def write(root, values, size=(8, 8)):
    """Flat images, their values by name."""
    for name, value in values.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (value,) * 3).save(root / name)
    return root


def values(pairs):
    return [side[:, 0, 0, 0].tolist() for side in pairs.batch(range(len(pairs)))]


@catches(SUBJECT, 'str(PurePosixPath(name).with_suffix(""))', "PurePosixPath(name).stem")
def test_folders_are_matched_by_the_paths_before_the_dot(tmp_path):
    first = write(tmp_path / "a", {"x/1.png": 10, "x/2.bmp": 20, "y/1.png": 30, "z.v2.png": 40})
    second = write(tmp_path / "b", {"y/1.bmp": 31, "x/2.png": 21, "x/1.png": 11, "z.v2.bmp": 41})
    pairs = open_pairs(first, second)
    assert pairs.names == ["x/1.png", "x/2.bmp", "y/1.png", "z.v2.png"]
    assert values(pairs) == [[10, 20, 30, 40], [11, 21, 31, 41]]
    assert (pairs.unmatched, pairs.by_name, pairs.describe()["unmatched"]) == ("", True, "none")
    assert [side[0, 0, 0, 0].item() for side in pairs.batch([2])] == [30, 31]


@catches(SUBJECT, "(index, others[stem])", "(index, index)")
@catches(SUBJECT, "if stem not in others", "if stem in others")
@catches(SUBJECT, "len(missing) - _NAMES_SHOWN", "len(missing)")
def test_what_has_no_counterpart_is_left_out_and_told_in_one_line(tmp_path):
    first = write(tmp_path / "a", {f"{n}.png": n for n in range(6)})
    second = write(tmp_path / "b", {"3.png": 33, "extra.png": 99, "1.png": 11})
    pairs = open_pairs(first, second)
    assert values(pairs) == [[1, 3], [11, 33]]
    assert pairs.unmatched == "4 of 6 only in the first: 0, 2, 4 and 1 more; 1 of 3 only in the second: extra"
    assert pairs.describe()["unmatched"] == pairs.unmatched


@catches(SUBJECT, "(i, i) for i", "(i, len(one) - 1 - i) for i")
def test_arrays_are_matched_by_position(tmp_path):
    np.savez(tmp_path / "a.npz", (PIXELS ^ 1).permute(0, 2, 3, 1).numpy())
    pairs = open_pairs(PIXELS, tmp_path / "a.npz")
    first, second = pairs.batch([3, 0])
    assert torch.equal(first, PIXELS[[3, 0]])
    assert torch.equal(second, PIXELS[[3, 0]] ^ 1)
    assert (pairs.names, pairs.by_name) == (["0", "1", "2", "3"], False)
    said = pairs.describe()
    assert (said["pairs"], said["matched"], said["first: source"]) == ("4", "by position", "tensor")
    assert said["second: source"] == "archive a.npz"


def test_both_sides_go_through_the_same_crop(tmp_path):
    originals = write(tmp_path / "a", {"1.png": 7}, size=(20, 12))
    reconstructions = write(tmp_path / "b", {"1.png": 9}, size=(6, 6))
    pairs = open_pairs(originals, reconstructions, image_size=6, crop="adm")
    assert [tuple(side.shape) for side in pairs.batch([0])] == [(1, 3, 6, 6), (1, 3, 6, 6)]
    assert pairs.describe()["first: crop"] == pairs.describe()["second: crop"] == "ADM centre crop"


@catches(SUBJECT, "if one.shape != other.shape:", "if one.shape[0] != other.shape[0]:")
@catches(SUBJECT, "if len(one) != len(other):", "if len(one) > len(other):")
@catches(SUBJECT, "if stem in places:", "if name in places:")
@catches(SUBJECT, "if not matches:", "if matches is None:")
def test_what_cannot_be_paired_is_one_line(tmp_path):
    twice = write(tmp_path / "twice", {"1.png": 1, "1.bmp": 2})
    other = write(tmp_path / "other", {"2.png": 1})
    wide = write(tmp_path / "wide", {"2.png": 1}, size=(9, 8))
    for first, second, words in (
        (other, wide, "both sides must have one size, got 8 x 8 with 3 channels and 9 x 8 with 3 channels"),
        (PIXELS, PIXELS[:, :1], "both sides must have one size, got 8 x 8 with 3 channels and 8 x 8 with 1 channels"),
        (PIXELS[:3], PIXELS, "images that are matched by position must be as many, got 3 and 4"),
        (twice, other, "names must differ before the dot, got 1.bmp and 1.png"),
        (write(tmp_path / "one", {"1.png": 1}), other, "no names match: 1 of 1 only in the first: 1; 1 of 1 .*: 2"),
    ):
        with pytest.raises(ValueError, match=rf"\A{words}\Z"):
            open_pairs(first, second)
