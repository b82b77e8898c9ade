"""Image files, folders and tables for the tests of data sets."""

import io

from PIL import Image

from vistok.metrics import to_uint8


def png(colour, size=(8, 8), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def write_folder(root, count=30):
    """Two classes of flat images whose red channel is their number."""
    for number in range(count):
        folder = root / ("odd" if number % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.png").write_bytes(png((number, 0, 0)))
    return root


def write_parquet(path, rows, label=True):
    columns = {"label": [name for _, name in rows]} if label else {}
    return write_table(path, [content for content, _ in rows], columns)


def write_table(path, contents, columns, features=None):
    """A Parquet file of images and other columns, some of them with declared features."""
    import datasets

    columns = {"image": [{"bytes": content, "path": None} for content in contents], **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image(decode=False))
    for name, feature in (features or {}).items():
        table = table.cast_column(name, feature)
    table.to_parquet(str(path))
    return path


def numbers(images):
    """The red channel of every image: what write_folder numbered them with."""
    return [int(value) for value in to_uint8(images.batch(range(len(images))))[:, 0, 0, 0]]
