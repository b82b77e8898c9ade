"""What tells the images of tables from others, without reading them."""

import hashlib
from collections.abc import Iterable, Sequence

from vistok.workbench.data._table import Table


def images_checksum(tables: Iterable[Table]) -> str:
    """A checksum of what the images of tables are called and of how long the contents are that they hold, in order.

    It is the same wherever the source lies: paths begin below its folder.
    """
    checksum = hashlib.sha256()
    for table in tables:
        names = "\n".join(_names(table)).encode(errors="surrogatepass")
        checksum.update(hashlib.sha256(names).digest())
    return checksum.hexdigest()[:16]


def _names(table: Table) -> list[str]:
    import pyarrow.compute as pc

    images = table.rows.select_columns([table.image_column]).with_format("arrow")[:][table.image_column]
    paths = [path or "" for path in pc.struct_field(images, "path").to_pylist()]
    sizes = pc.binary_length(pc.struct_field(images, "bytes")).to_pylist()
    # Of an image in an archive the path is a place in it, then the archive.
    places = [path.rpartition("::") if table.in_archives else ("", "", path) for path in paths]
    folder = f"{table.root}/" if table.root else _common_folder([file for _, _, file in places if file])
    pairs = zip(places, sizes, strict=True)
    return [f"{place} {file.removeprefix(folder)} {size}" for (place, _, file), size in pairs]


def _common_folder(files: Sequence[str]) -> str:
    first, last = min(files, default=""), max(files, default="")
    differ = next((place for place, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))
    return first[: first.rfind("/", 0, differ) + 1]
