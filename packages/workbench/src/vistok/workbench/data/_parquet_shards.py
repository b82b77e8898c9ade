"""Parquet files as shards of a stream: an index says which row holds an image; images stay in their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vistok.workbench.data._tar_archives import Member


def parquet_schema(path: Path) -> Any:
    """Arrow's schema of a Parquet file, from its footer.

    Raises:
        OSError: The file is cut off or damaged; the message names it.
    """
    import pyarrow.parquet as pq

    with _naming(path.name):
        return pq.read_schema(path)


def parquet_index(file: Any, address: str) -> Any:
    """All columns of a Parquet file as a table, with the place of each image instead of its content.

    Raises:
        OSError: The file is cut off or damaged; the message names its address.
    """
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _naming(address):
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        images = _image_columns(schema)
        # Lists and other structures are no labels.
        others = [field.name for field in schema if not pa.types.is_nested(field.type) and field.name not in images]
        columns = dict(zip(others, parquet.read(columns=others).columns, strict=True)) if others else {}
    features, count = datasets.Features.from_arrow_schema(schema), parquet.metadata.num_rows
    for name in images:
        places = pa.array([str(Member(address, f"{row}/{name}", row, 0)) for row in range(count)], pa.string())
        columns[name] = pa.StructArray.from_arrays([pa.nulls(count, pa.binary()), places], names=["bytes", "path"])
    kept = datasets.Features({name: datasets.Image() if name in images else features[name] for name in columns})
    return pa.table(columns).replace_schema_metadata(kept.arrow_schema.metadata)


def write_cells(path: Path, address: str) -> None:
    """Turn a Parquet file into one that gives any image alone: Arrow's format, a row a batch, in its place.

    Raises:
        OSError: The file is cut off or damaged, or there is no room; the message names its address.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = path.with_name(f"{path.name}.cells.part")
    try:
        with _naming(address):
            parquet = pq.ParquetFile(path)
            columns = _image_columns(parquet.schema_arrow)
            schema = pa.schema([parquet.schema_arrow.field(name) for name in columns])
            with pa.OSFile(str(cells), "wb") as file, pa.ipc.new_file(file, schema) as writer:
                for group in range(parquet.num_row_groups):
                    writer.write_table(parquet.read_row_group(group, columns=columns), max_chunksize=1)
        cells.replace(path)
    finally:
        cells.unlink(missing_ok=True)


def read_cell(path: Path, member: Member) -> bytes:
    """The content of an image in a file of :func:`write_cells`.

    Raises:
        ValueError: The table holds none.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        cell = pa.ipc.open_file(file).get_batch(member.offset).column(member.name.partition("/")[2])[0].as_py()
    content = cell["bytes"] if isinstance(cell, dict) else cell
    if content is None:
        raise ValueError("unreadable image: the table holds none")
    return bytes(content)


def _image_columns(schema: Any) -> list[str]:
    import pyarrow as pa

    def holds_files(kind: Any) -> bool:
        struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        return bool(struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    return [field.name for field in schema if holds_files(field.type)]


@contextmanager
def _naming(address: str) -> Iterator[None]:
    """What the library says of a file, with its address; its errors are of both kinds."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise OSError(f"{address}: {error}") from None
