"""An archive in ADM's form: mapped where it can be, read where it must be, one line where it is something else."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from _support.mutants import catches
from vistok.metrics.images.archive import open_archive

SUBJECT = "vistok.metrics.images.archive"
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)


@catches(SUBJECT, "_LOCAL_HEADER + int(name_length) + int(extra_length)", "_LOCAL_HEADER + int(name_length)")
@catches(SUBJECT, "_start_of(path, info) + header_length", "_start_of(path, info)")
def test_pixels_and_labels_are_those_that_were_saved(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", PIXELS, np.arange(5))
        read, count, labels, checksum = open_archive(tmp_path / "a.npz")
        assert np.array_equal(read(range(5)), PIXELS)
        assert np.array_equal(read([4, 0, 4]), PIXELS[[4, 0, 4]])
        assert (count, labels) == (5, [0, 1, 2, 3, 4])
        with zipfile.ZipFile(tmp_path / "a.npz") as archive:
            assert int(checksum, 16) == zlib.crc32(archive.read("arr_0.npy"))


@catches(SUBJECT, "lambda at: pixels()[at]", "lambda at, kept=pixels(): kept[at]")
def test_what_was_read_of_an_archive_does_not_stay_in_memory(tmp_path):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no list of what is mapped")
    np.savez(tmp_path / "a.npz", PIXELS)
    images = open_archive(tmp_path / "a.npz")
    batch = images.read([0, 1])
    assert not isinstance(batch, np.memmap)
    assert str(tmp_path / "a.npz") not in maps.read_text()


def test_statistics_beside_the_images_and_labels_that_are_none_are_passed_over(tmp_path):
    np.savez(tmp_path / "a.npz", mu=np.zeros(3), arr_0=PIXELS, arr_1=np.zeros((5, 2)))
    images = open_archive(tmp_path / "a.npz")
    assert np.array_equal(images.read(range(5)), PIXELS)
    assert images.labels is None


def test_an_array_in_the_order_of_columns_is_the_same(tmp_path):
    np.savez(tmp_path / "a.npz", np.asfortranarray(PIXELS))
    assert np.array_equal(open_archive(tmp_path / "a.npz").read(range(5)), PIXELS)


@catches(SUBJECT, 'if dtype != "uint8":', "if dtype.itemsize > 8:")
@catches(SUBJECT, "shape[3] not in (1, 3)", "shape[3] not in (1, 3, 4)")
@catches(SUBJECT, 'if "arr_0" not in members:', "if not members:")
def test_what_holds_no_images_is_one_line_that_names_the_file(tmp_path):
    for arrays, words in (
        ({"mu": np.zeros(3), "sigma": np.zeros(3)}, "arr_0 is missing, the archive holds mu, sigma"),
        ({"arr_0": PIXELS.astype(np.float32)}, "arr_0 must be uint8, got float32"),
        ({"arr_0": np.array([None])}, "arr_0 must be uint8, got object"),
        ({"arr_0": PIXELS[..., [0, 1, 2, 0]]}, r"arr_0 must be \(N, H, W, 3\), got \(5, 4, 6, 4\)"),
        ({"arr_0": PIXELS[0]}, r"arr_0 must be \(N, H, W, 3\), got \(4, 6, 3\)"),
        ({"arr_0": PIXELS[:0]}, r"arr_0 holds no images, got \(0, 4, 6, 3\)"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ValueError, match=rf"\A.*/a\.npz: {words}\Z"):
            open_archive(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("damage", [lambda content: b"no archive", lambda content: content[: len(content) // 2]])
def test_a_damaged_archive_is_one_line_that_names_the_file(tmp_path, save, damage):
    save(tmp_path / "a.npz", PIXELS)
    (tmp_path / "a.npz").write_bytes(damage((tmp_path / "a.npz").read_bytes()))
    with pytest.raises(ValueError, match=r"\A.*/a\.npz: [^\n]+\Z"):
        open_archive(tmp_path / "a.npz")
