"""Sets of images by name: packages hold them, not files to stream nor tables with columns."""

#: The source that needs no files: the embedded digits.
DIGITS = "digits"
#: Drawings from a package that the extra of this name brings.
OPENMOJI = "openmoji"


def is_named(source: str, image_column: str | None, label_column: str | None, streaming_limit: int | None) -> bool:
    """Whether a source is a set by name.

    Raises:
        ValueError: It is one, and to be streamed, or to be read from a column.
    """
    if source not in (DIGITS, OPENMOJI):
        return False
    if streaming_limit is not None:
        raise ValueError(f"data {source!r}: expected Parquet or tar files for streaming")
    for key, column in {"image_column": image_column, "label_column": label_column}.items():
        if column is not None:
            raise ValueError(f"data.{key}: expected null for {source!r}, which is no table, got {column!r}")
    return True
