"""Where the images of an evaluation come from: one call for folders, archives, tensors and data sets."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vistok.metrics.images.archive import open_archive
from vistok.metrics.images.arrays import ArrayImages
from vistok.metrics.images.crops import Crop
from vistok.metrics.images.folder import ImageFolder


class Batches(Protocol):
    """The least that a data set must have: a length, and images ``(B, 1 or 3, H, W)``, uint8 or in ``[-1, 1]``."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], /) -> Tensor:
        """Images of these indices."""


class ImageSource(Protocol):
    """Equally sized 8-bit images that are read a batch at a time; what :func:`open_images` gives."""

    @property
    def names(self) -> Sequence[str]:
        """One name an image, all different: paths below a folder, else positions."""

    @property
    def named(self) -> bool:
        """Whether the names are the images' own, so that another source may have the same."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The class of each image where the source has classes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)`` of every image."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Images of these indices, ``(B, 3 or 1, H, W)``, uint8."""

    def describe(self) -> dict[str, str]:
        """Every choice that moves a number: source, count, size, crop, filter, a hash of what is read."""


def open_images(
    source: str | Path | Tensor | Batches | ImageSource, *, image_size: int | None = None, crop: str = "none"
) -> ImageSource:
    """Open images of any kind without reading them all.

    Args:
        source: A folder of image files, at any depth, in the order of their paths (the class is the folder of the first
            level); an ``.npz`` archive in ADM's form (``arr_0``, ``(N, H, W, 3)`` uint8; ``arr_1``, labels), mapped
            into memory where it is not compressed; a tensor ``(N, C, H, W)``; or anything with ``__len__`` and
            ``batch``, whose ``names`` and ``classes`` are taken where it has them.
        image_size: Pixels a side after the crop.
        crop: ``"adm"`` (:func:`vistok.metrics.adm_crop`: what published ImageNet numbers share), ``"centre"``
            (:func:`vistok.metrics.centre_crop`), or ``"none"``: images must be of one size, and are taken as they are.

    Shape:
        - batch: ``(B, 3, H, W)`` of files; the source's own channels, 1 or 3, of arrays; uint8.

    Raises:
        ValueError: In one line that names the file: no such source, no images in it, an array of another shape or
            dtype; when a batch is read, a file that is no image or has another size. A crop without an ``image_size``,
            or the other way round.
        TypeError: The source is nothing of these.

    Example:
        >>> images = open_images(torch.zeros(5, 3, 40, 60, dtype=torch.uint8), image_size=16, crop="adm")
        >>> len(images), images.batch([0, 4]).shape, images.describe()["crop"]
        (5, torch.Size([2, 3, 16, 16]), 'ADM centre crop')
    """
    cropped = Crop(crop, image_size)
    if isinstance(source, str | Path):
        return _open_path(Path(source), cropped)
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[1] not in (1, 3):
            raise ValueError(f"images must be (N, 1 or 3, H, W), got {tuple(source.shape)}")
        return ArrayImages(lambda at: source[at], len(source), cropped, description=lambda: _of_tensor(source))
    if not (hasattr(source, "__len__") and hasattr(source, "batch")):
        wanted = "a folder, an .npz archive, a tensor, or have __len__ and batch"
        raise TypeError(f"images must be {wanted}, got {type(source).__name__}")
    names = getattr(source, "names", None) if getattr(source, "named", True) else None
    return ArrayImages(
        source.batch,
        len(source),
        cropped,
        description=getattr(source, "describe", lambda: {"source": type(source).__name__}),
        names=names,
        classes=getattr(source, "classes", None),
    )


def _open_path(path: Path, crop: Crop) -> ImageSource:
    if path.is_dir():
        return ImageFolder(path, crop)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such folder or file")
    if path.suffix != ".npz":
        raise ValueError(f"{path}: images must be a folder or an .npz archive")
    read, count, labels, checksum = open_archive(path)
    return ArrayImages(
        lambda at: torch.from_numpy(read(at)).permute(0, 3, 1, 2).contiguous(),
        count,
        crop,
        description=lambda: {"source": f"archive {path.name}", "hash": f"CRC-32 of arr_0 {checksum}"},
        classes=None if labels is None else list(map(str, labels)),
    )


def _of_tensor(images: Tensor) -> Mapping[str, str]:
    pixels = images.detach().cpu().contiguous().flatten().view(torch.uint8)
    return {"source": "tensor", "hash": f"values {hashlib.sha256(pixels.numpy().data).hexdigest()[:16]}"}
