"""A folder of image files as a source of images."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from vistok.metrics.images.crops import Crop
from vistok.metrics.images.decoding import image_to_tensor, open_image

_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2")
)
_DECODING_THREADS = 4


class ImageFolder:
    """The image files below a folder, sorted by their paths, RGB, decoded when a batch asks for them.

    Files without an image's suffix, and hidden ones, do not count. The class of an image is the folder of the first
    level that it lies in, if all lie in one. Links to folders are followed, and each real folder is read once.

    Args:
        root: The folder.
        crop: What each image goes through.

    Raises:
        ValueError: In one line: there are no images, or a folder cannot be listed; of a batch, an image cannot be
            read or has another size than the first one.
    """

    named = True

    def __init__(self, root: Path, crop: Crop) -> None:
        self.root, self.crop = root, crop
        self.names: Sequence[str] = sorted(_image_files(root))
        if not self.names:
            raise ValueError(f"{root}: the folder holds no images")
        folders = [name.partition("/")[0] for name in self.names if "/" in name]
        self.classes: Sequence[str] | None = folders if len(folders) == len(self.names) else None
        self.shape: tuple[int, ...] = tuple(self._read(0).shape)

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Images of these indices, ``(B, 3, H, W)``, uint8."""
        with ThreadPoolExecutor(_DECODING_THREADS) as threads:
            images = list(threads.map(self._read, map(int, indices)))
        for index, image in zip(indices, images, strict=True):
            if tuple(image.shape) != self.shape:
                sizes = " and ".join("{1} x {0}".format(*shape[1:]) for shape in (tuple(image.shape), self.shape))
                name, first = self.root / self.names[int(index)], self.names[0]
                raise ValueError(f"{name}: another size than {first}, {sizes}; give a crop and an image_size")
        return torch.stack(images) if images else torch.empty(0, *self.shape, dtype=torch.uint8)

    def describe(self) -> dict[str, str]:
        """What was read and how; the hash is over the paths below the folder and the files' sizes."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(os.fsencode(f"{name} {os.path.getsize(self.root / name)}\n"))
        formats = Counter(os.path.splitext(name)[1].lower() for name in self.names)
        return {
            "source": f"folder {self.root.resolve().name}",
            "files": ", ".join(f"{count} {suffix}" for suffix, count in sorted(formats.items())),
            "hash": f"names and file sizes {digest.hexdigest()[:16]}",
            **self.crop.describe(len(self), self.shape),
        }

    def _read(self, index: int) -> Tensor:
        path = self.root / self.names[index]
        try:
            return image_to_tensor(self.crop(open_image(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _image_files(root: Path) -> list[str]:
    return [path for path in files_below(root) if os.path.splitext(path)[1].lower() in _SUFFIXES]


def _unlisted(error: OSError) -> None:
    if os.path.basename(error.filename) == "lost+found":  # the file system's own, at the root of a disk
        return
    raise ValueError(f"{error.filename}: expected a folder that can be listed, got: {error.strerror}") from None


def files_below(root: Path) -> list[str]:
    """Paths in a folder of all files below it but hidden ones, in no order; links are followed.

    Each real folder is read once, under its own path where it has one.

    Raises:
        ValueError: In one line: a folder cannot be listed.
    """
    found: list[str] = []
    seen: set[str] = set()
    starts = [str(root)]
    for start in starts:  # links to folders come to its end: a folder is read under its own path where it has one
        for folder, below, names in os.walk(start, onerror=_unlisted):
            if (real := os.path.realpath(folder)) in seen:
                below.clear()
                continue
            seen.add(real)
            below[:] = sorted(name for name in below if not name.startswith("."))
            starts += [path for name in below if os.path.islink(path := os.path.join(folder, name))]
            inside = Path(folder).relative_to(root)
            found += [(inside / name).as_posix() for name in names if not name.startswith(".")]
    return found
