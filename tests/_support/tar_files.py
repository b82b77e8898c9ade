"""Tar archives as tests need them."""

import io
import tarfile

from _support.image_files import png


def write_archive(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def records(first, last):
    """Images of their number with the class of its rest by 3."""
    return [
        member
        for number in range(first, last)
        for member in ((f"{number:03}.png", png((number, 0, 0))), (f"{number:03}.cls", str(number % 3).encode()))
    ]
