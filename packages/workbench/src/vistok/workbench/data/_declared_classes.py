"""The classes that Parquet files declare: a number means one class in all of them."""

import itertools
from collections.abc import Iterable
from typing import Any


def check_declared_classes(schemas: Iterable[tuple[str, Any]]) -> None:
    """That files declare the same classes of a column, in one order, where they declare any.

    The data-set library takes what the first file declares for all of them, and so does joining tables.

    Args:
        schemas: Arrow's schema of each file, behind its path or address.

    Raises:
        ValueError: Two files declare others; the message names both.
    """
    import datasets

    first: dict[str, tuple[str, list[str]]] = {}
    for file, schema in schemas:
        for column, feature in datasets.Features.from_arrow_schema(schema).items():
            if isinstance(feature, datasets.ClassLabel):
                other, names = first.setdefault(column, (file, feature.names))
                if names != feature.names:
                    raise ValueError(_difference(column, (other, names), (file, feature.names)))


def _difference(column: str, *declared: tuple[str, list[str]]) -> str:
    """Both files, by what follows the last folder that they share, and the first class that differs."""
    (file, names), (other, others) = declared
    folders = zip(file.split("/")[:-1], other.split("/")[:-1], strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], folders))
    file, other = ("/".join(each.split("/")[shared:]) for each in (file, other))
    pairs = itertools.zip_longest(map(repr, names), map(repr, others), fillvalue="none")
    number, (ours, theirs) = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
    return (
        f"{file} and {other}: expected the same classes of {column!r:.30} in one order, got {ours:.30} and "
        f"{theirs:.30} as class {number}"
    )
