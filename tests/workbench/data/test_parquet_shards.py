"""The index of a Parquet file holds all but its images; of these, any one is read alone."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from _support.mutants import catches
from vistok.workbench.data._parquet_shards import parquet_index, read_cell, write_cells
from vistok.workbench.data._tar_archives import Member

SUBJECT = "vistok.workbench.data._parquet_shards"


def write(path, **options):
    columns = {
        "picture": [{"bytes": bytes([n]) * 3, "path": f"{n}.png"} for n in range(5)],
        "label": [n % 2 for n in range(5)],
        "boxes": [[1, 2]] * 5,
    }
    table = datasets.Dataset.from_dict(columns).cast_column("picture", datasets.Image(decode=False))
    table.cast_column("label", datasets.ClassLabel(names=["a", "b"])).to_parquet(path, **options)
    return path


@catches(SUBJECT, "not pa.types.is_nested(field.type) and", "")
@catches(SUBJECT, 'f"{row}/{name}", row, 0', 'f"{row}/{name}", 0, 0')
def test_the_index_says_where_each_image_is_and_keeps_what_labels_may_be(tmp_path):
    with write(tmp_path / "a.parquet").open("rb") as file:
        rows = datasets.Dataset(parquet_index(file, "memory://a.parquet"))
    rows = rows.cast_column("picture", datasets.Image(decode=False))
    assert set(rows.column_names) == {"picture", "label"}
    assert rows.features["label"].names == ["a", "b"]
    assert [row["label"] for row in rows] == [0, 1, 0, 1, 0]
    assert rows[3]["picture"]["bytes"] is None
    assert Member.of(rows[3]["picture"]["path"]) == Member("memory://a.parquet", "3/picture", 3, 0)


@catches(SUBJECT, "max_chunksize=1", "max_chunksize=2")
def test_a_cell_is_read_alone_whatever_the_row_groups(tmp_path):
    path = write(tmp_path / "a.parquet", batch_size=2)
    assert pq.ParquetFile(path).num_row_groups == 3
    write_cells(path, "a")
    for row in (4, 0, 3):
        assert read_cell(path, Member("", f"{row}/picture", row, 0)) == bytes([row]) * 3


def test_columns_of_bytes_are_images_and_a_null_is_none(tmp_path):
    pq.write_table(pa.table({"jpg": [b"x", None], "cls": [1, 2]}), tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb") as file:
        rows = datasets.Dataset(parquet_index(file, "a"))
    assert isinstance(rows.features["jpg"], datasets.Image)
    write_cells(tmp_path / "a.parquet", "a")
    assert read_cell(tmp_path / "a.parquet", Member("", "0/jpg", 0, 0)) == b"x"
    with pytest.raises(ValueError, match="unreadable image: the table holds none"):
        read_cell(tmp_path / "a.parquet", Member("", "1/jpg", 1, 0))


@catches(SUBJECT, 'raise OSError(f"{address}: {error}") from None', "raise")
def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-10])
    with path.open("rb") as file, pytest.raises(OSError, match=r"\Amemory://a\.parquet: [^\n]*\Z"):
        parquet_index(file, "memory://a.parquet")
    with pytest.raises(OSError, match=r"\Amemory://a\.parquet: [^\n]*\Z"):
        write_cells(path, "memory://a.parquet")


@catches(SUBJECT, "        cells.unlink(missing_ok=True)", "        pass")
def test_a_write_that_fails_leaves_no_file_beside(tmp_path):
    path = write(tmp_path / "a.parquet", batch_size=2)
    last = pq.ParquetFile(path).metadata.row_group(2).column(0)
    begin, content = last.dictionary_page_offset or last.data_page_offset, bytearray(path.read_bytes())
    content[begin : begin + last.total_compressed_size] = b"\xff" * last.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"memory://a\.parquet"):
        write_cells(path, "memory://a.parquet")
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]
