"""Image files, folders and tables for the tests of data sets."""

import errno
import io
import os
import random

import numpy as np
from PIL import Image

from vistok.metrics import to_uint8


def png(colour, size=(8, 8), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_folder(root, count=30):
    """Two classes of flat images whose red channel is their number."""
    for number in range(count):
        folder = root / ("odd" if number % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.png").write_bytes(png((number, 0, 0)))
    return root


def photographs(root):
    """A folder of 24 images larger than the crops, two as small as them."""
    for number in range(24):
        size = (16, 16) if number < 2 else (random.Random(number).randint(20, 60), 45)
        folder = root / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        noise(*size, seed=number).save(folder / f"{number:02}.png")
    return root


def unlisted(monkeypatch, folder):
    """Let a folder not be listed, as one of somebody else; whoever is root may list any."""
    scan = os.scandir

    def refuse(path):
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)


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


CONTENTS = [png((n, 0, 0)) for n in range(12)]
GROUPS = [n % 3 for n in range(12)]


def check_groups(splits, names=("0", "1", "2")):
    """Each of the ``CONTENTS`` is of its one of the ``GROUPS``."""
    for images in splits:
        assert images.class_names == names
        assert images.labels.tolist() == [number % 3 for number in numbers(images)]
