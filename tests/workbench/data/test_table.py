"""Rows of a table: where an image is, what it is called, and what decides its side of the split."""

from pathlib import Path

import pytest

from _support.mutants import catches
from vistok.workbench.data._table import Table
from vistok.workbench.data._tar_archives import Member

SUBJECT = "vistok.workbench.data._table"


def table(*entries, root=None):
    rows = [{"image": None if entry is None else dict(zip(("bytes", "path"), entry, strict=True))} for entry in entries]
    return Table(rows, "image", None, None, "train", root)


@catches(SUBJECT, 'entry["bytes"] if entry["bytes"] is not None else entry["path"]', 'entry["path"] or entry["bytes"]')
def test_an_image_is_its_content_else_its_path_and_an_empty_cell_is_unreadable():
    rows = table((b"a", "x.png"), (None, "/data/x.png"), (None, None), None)
    assert (rows.source(0), rows.source(1)) == (b"a", "/data/x.png")
    for row in (2, 3, 4):
        with pytest.raises(ValueError, match=r"^unreadable image: the table holds none$"):
            rows.source(row)


@catches(
    SUBJECT, "content if content is not None else self.item_name(index).encode()", "self.item_name(index).encode()"
)
def test_what_decides_the_split_is_the_content_or_the_path_below_the_folder_wherever_that_is():
    contents = table((b"a", "x.png"), (b"b", "x.png"), (b"a", "y.png"))
    keys = [contents.split_key(row) for row in range(3)]
    assert keys[0] == keys[2] != keys[1]
    here, there = (table((None, f"{root}/cat/x.png"), root=Path(root)) for root in ("/here", "/there"))
    assert here.split_key(0) == there.split_key(0)
    assert here.item_name(0) == "cat/x.png"


def test_images_are_called_by_split_and_row_where_they_have_no_place_in_the_folder():
    assert table((b"a", None)).item_name(0) == table((b"a", "x.png")).item_name(0) == "train[0]"
    assert table((None, "/elsewhere/x.png"), root=Path("/here")).item_name(0) == "train[0] x.png"


@catches(SUBJECT, "(Path(member.archive).relative_to(folder) / member.name)", "Path(member.name)")
@catches(SUBJECT, "folder = self.root or Path(member.archive).parent", "folder = Path(member.archive).parent")
def test_an_image_in_an_archive_is_read_there_and_called_by_both_names(tmp_path):
    archive = tmp_path / "a" / "train-0.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"..image..")
    place = str(Member(str(archive), "cats/7.jpg", 2, 5))
    below, alone = (table((None, place), root=root)._replace(in_archives=True) for root in (tmp_path, None))
    assert below.source(0) == alone.source(0) == b"image"
    assert below.item_name(0) == "a/train-0.tar/cats/7.jpg"
    assert alone.item_name(0) == "train-0.tar/cats/7.jpg"
    assert below.split_key(0) != table((None, place), root=tmp_path / "a")._replace(in_archives=True).split_key(0)
