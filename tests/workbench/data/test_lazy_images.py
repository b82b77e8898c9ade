"""Images decoded on demand: unreadable ones are replaced and named, and all of them can be brought into memory."""

import threading
import weakref

import pytest
import torch

from _support.image_files import numbers, write_folder
from _support.mutants import catches
from vistok.workbench.data import LazyImageSet, load_images

SUBJECT = "vistok.workbench.data.lazy_images"


def torn(*missing, limit=4):
    """Four images of their number, of which some cannot be read."""

    def decode(index):
        if index in missing:
            raise ValueError("unreadable image: torn")
        return torch.full((3, 2, 2), index, dtype=torch.uint8)

    return LazyImageSet(
        decode,
        lambda index: f"file {index}",
        labels=torch.zeros(4, dtype=torch.int64),
        class_names=("all",),
        name="torn",
        image_size=2,
        max_unreadable=limit,
    )


@catches(SUBJECT, "len(self._unreadable) > self._max_unreadable", "len(self._unreadable) >= self._max_unreadable")
def test_a_lazy_set_replaces_an_unreadable_image_by_the_next():
    images = torn(1, 2, limit=2)
    assert numbers(images) == [0, 3, 3, 3]
    assert images.skipped == ("file 1 (unreadable image: torn)", "file 2 (unreadable image: torn)")
    assert numbers(images) == [0, 3, 3, 3]
    assert numbers(images.in_memory()) == [0, 3]
    with pytest.raises(ValueError, match="max_unreadable=1"):
        torn(1, 2, limit=1).batch([1])


@catches(SUBJECT, "images[place] = images[index]", "pass")
@catches(SUBJECT, "images[: len(readable)],", "images,")
@catches(SUBJECT, "min(start + _DECODED_AT_A_TIME, len(self))", "min(start + _DECODED_AT_A_TIME - 1, len(self))")
def test_a_set_in_memory_holds_all_readable_images_in_their_order():
    def decode(index):
        if index in (0, 255, 258, 599):
            raise ValueError("torn")
        return torch.full((3, 1, 1), index % 251, dtype=torch.uint8)

    options = {"class_names": tuple(map(str, range(600))), "name": "many", "image_size": 1, "max_unreadable": 4}
    lazy = LazyImageSet(decode, str, labels=torch.arange(600), decode_uncropped=decode, **options)
    loaded = lazy.in_memory()
    wanted = [index for index in range(600) if index not in (0, 255, 258, 599)]
    assert loaded.labels.tolist() == wanted
    assert loaded.images[:, 2, 0, 0].tolist() == [index % 251 for index in wanted]
    assert [int(more[0]) for more in loaded.uncropped] == [index % 251 for index in wanted]


@catches(SUBJECT, "_DECODED_AT_A_TIME = 256", "_DECODED_AT_A_TIME = 1 << 20")
@catches(
    SUBJECT,
    "for index, pixels in self._all_pixels(self._decode):",
    "for index, pixels in [*self._all_pixels(self._decode)]:",
)
def test_while_a_set_is_read_few_of_its_images_are_in_memory_twice():
    alive, most = weakref.WeakSet(), 0

    def decode(index):
        nonlocal most
        pixels = torch.zeros(3, 2, 2, dtype=torch.uint8)
        alive.add(pixels)
        most = max(most, len(alive))
        return pixels

    labels = torch.zeros(2000, dtype=torch.int64)
    options = {"class_names": ("all",), "name": "black", "image_size": 2, "max_unreadable": 0}
    LazyImageSet(decode, str, labels=labels, **options).in_memory()
    assert 0 < most <= 300


@catches(SUBJECT, "range(index, index + len(self))", "range(index, len(self))")
def test_the_first_image_comes_after_the_last_and_a_set_of_none_says_so():
    assert numbers(torn(3)) == [0, 1, 2, 0]
    for ask in (lambda images: images.batch([2]), lambda images: images.in_memory()):
        with pytest.raises(ValueError, match=r"\Adata set 'torn' has no readable image\Z"):
            ask(torn(0, 1, 2, 3))


def test_batches_leave_no_threads_behind(tmp_path):
    options = {"cache_dir": tmp_path / "cache", "image_size": 8, "memory_limit": 0}
    images = load_images(write_folder(tmp_path / "data"), **options).train
    before = threading.active_count()
    images.batch([0, 1, 2])
    assert threading.active_count() == before
