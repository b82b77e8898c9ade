"""Images in an ``.npz`` archive of the form that ADM's evaluator reads."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

_LOCAL_HEADER = 30  # bytes of a member's header before its name


class ArchivedImages(NamedTuple):
    """What an archive holds.

    Attributes:
        read: From indices to pixels ``(B, H, W, 1 or 3)``, a NumPy array of uint8.
        num_images: How many there are.
        labels: ``arr_1``, one whole number an image, where there is such an array.
        checksum: The CRC-32 of the pixels' array that the archive itself keeps.
    """

    read: Callable[[Sequence[int]], Any]
    num_images: int
    labels: list[int] | None
    checksum: str


def open_archive(path: Path) -> ArchivedImages:
    """The images ``arr_0``: mapped into memory by their place in the file, or read at once from a compressed archive.

    The file is mapped for a batch and let go after it: what was read of one that stays mapped would count as memory of
    the process, in the end all of it.

    Source:
        The form of Dhariwal and Nichol 2021 (ADM), ``evaluations`` of guided-diffusion: ``arr_0`` of 8-bit RGB images,
        ``arr_1`` of labels where there are any.

    Raises:
        ValueError: In one line with the file's name: no such archive, no ``arr_0`` in it, or one of another dtype or
            shape.
    """
    import numpy as np

    pixels: Callable[[], Any]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name.removesuffix(".npy") for name in archive.namelist()]
            if "arr_0" not in members:
                raise ValueError(f"arr_0 is missing, the archive holds {', '.join(members) or 'nothing'}")
            info = archive.getinfo("arr_0.npy")
            with archive.open(info) as member:
                shape, in_columns, dtype = _read_header(member)
                header_length = member.tell()
        _check(shape, dtype)
        if info.compress_type == zipfile.ZIP_STORED:
            start, order = _start_of(path, info) + header_length, "F" if in_columns else "C"
            pixels = partial(np.memmap, path, dtype, "r", start, shape, order)
            pixels()  # an archive that is cut off is told now
        else:
            with np.load(path) as arrays:
                pixels = partial(np.asarray, arrays["arr_0"])
        return ArchivedImages(lambda at: pixels()[at], shape[0], _read_labels(path, shape[0]), f"{info.CRC:08x}")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:200]}") from error


def _read_header(member: Any) -> tuple[tuple[int, ...], bool, Any]:
    from numpy.lib import format as npy

    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"arr_0 is of version {version} of the .npy format, expected 1 or 2")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    header: tuple[tuple[int, ...], bool, Any] = read(member)
    return header


def _check(shape: tuple[int, ...], dtype: Any) -> None:
    if dtype != "uint8":
        raise ValueError(f"arr_0 must be uint8, got {dtype}")
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(f"arr_0 must be (N, H, W, 3), got {shape}")
    if 0 in shape:
        raise ValueError(f"arr_0 holds no images, got {shape}")


def _start_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member begins: behind its local header, whose extra field may differ from the directory's."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:])
    return info.header_offset + _LOCAL_HEADER + int(name_length) + int(extra_length)


def _read_labels(path: Path, count: int) -> list[int] | None:
    import numpy as np

    with np.load(path) as arrays:
        labels = arrays["arr_1"] if "arr_1" in arrays.files else None
    if labels is None or labels.shape != (count,) or labels.dtype.kind not in "iu":
        return None
    whole: list[int] = labels.tolist()
    return whole
