"""Statistics of a reference set as the files that evaluation scripts exchange."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution.frechet import GaussianStatistics

_LARGEST_ASYMMETRY = 1e-5  # of a covariance that was stored in float32, relative to its largest entry


class ReferenceStatistics(NamedTuple):
    """What a Frechet distance, an sFID and precision and recall need of a reference set.

    Attributes:
        features: Mean and covariance of the pooled features.
        spatial: Those of :func:`spatial_features`; ``None`` where the file has none (pytorch-fid's).
        images: Some of the images, ``(N, C, H, W)`` uint8; ``None`` where there are none or they were not asked for.
    """

    features: GaussianStatistics
    spatial: GaussianStatistics | None = None
    images: Tensor | None = None


def read_reference_statistics(path: str | Path, *, with_images: bool = False) -> ReferenceStatistics:
    """Read a file of :class:`ReferenceStatistics` in the ADM evaluator's or pytorch-fid's form.

    Both are ``.npz``: ``mu`` and ``sigma`` of the pooled features; ADM's also ``mu_s`` and ``sigma_s`` of the spatial
    ones, and images ``arr_0`` ``(N, H, W, C)``. Other arrays are left alone. The numbers are of one feature network and
    one way to resize: the file does not say which, so know where it comes from.

    Args:
        path: The file.
        with_images: Read ``arr_0``, too (ADM's holds 10,000 images of 2 GB).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, holds no ``mu`` and ``sigma``, or they are not the mean and the covariance of one
            set; one line that begins with the path.
    """
    import numpy as np

    with _named(path), contextlib.ExitStack() as opened:
        arrays = np.load(path, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("expected an .npz file of several arrays, got a single one")
        opened.enter_context(arrays)
        features, spatial = _statistics(arrays, "mu", "sigma"), _statistics(arrays, "mu_s", "sigma_s")
        if features is None:
            raise ValueError(f"expected arrays mu and sigma, got {', '.join(sorted(arrays.files)) or 'none'}")
        return ReferenceStatistics(features, spatial, _images(arrays) if with_images else None)


def write_reference_statistics(path: str | Path, statistics: ReferenceStatistics) -> None:
    """Write :class:`ReferenceStatistics` so that other evaluation scripts read them, whole or not at all.

    ``mu`` and ``sigma`` alone are pytorch-fid's form; with ``spatial`` and ``images`` it is the ADM evaluator's.

    Args:
        path: The file, ``.npz``; its folder must be there. One of that name is replaced.
        statistics: What is written, in float64.

    Raises:
        ValueError: The path does not end in ``.npz``, or the statistics are not those of one set.
    """
    import numpy as np

    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: expected a name that ends in .npz")
    arrays: dict[str, Any] = {"mu": statistics.features.mean, "sigma": statistics.features.covariance}
    if statistics.spatial is not None:
        arrays |= {"mu_s": statistics.spatial.mean, "sigma_s": statistics.spatial.covariance}
    arrays = {name: value.detach().cpu().double().numpy() for name, value in arrays.items()}
    if statistics.images is not None:
        arrays["arr_0"] = statistics.images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    with _named(path):
        for names in (("mu", "sigma"), ("mu_s", "sigma_s")):
            _statistics(arrays, *names)
        _images(arrays)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _statistics(arrays: Mapping[str, Any], mean_name: str, covariance_name: str) -> GaussianStatistics | None:
    """The two arrays, checked; ``None`` where there is neither."""
    there = [name for name in (mean_name, covariance_name) if name in arrays]
    if not there:
        return None
    if len(there) == 1:
        raise ValueError(f"expected both {mean_name} and {covariance_name}, got {there[0]} alone")
    mean, covariance = arrays[mean_name], arrays[covariance_name]
    if mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise ValueError(f"{mean_name} and {covariance_name} must be floats, got {mean.dtype} and {covariance.dtype}")
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        shapes = f"{mean.shape} and {covariance.shape}"
        raise ValueError(f"{mean_name} and {covariance_name} must be (D,) and (D, D), got {shapes}")
    found = GaussianStatistics(*(torch.from_numpy(array.astype("float64")) for array in (mean, covariance)))
    if not all(bool(torch.isfinite(part).all()) for part in found):
        raise ValueError(f"{mean_name} and {covariance_name} must be finite")
    asymmetry = float((found.covariance - found.covariance.T).abs().max())
    if asymmetry > _LARGEST_ASYMMETRY * float(found.covariance.abs().max()) or bool(
        (found.covariance.diag() < 0).any()
    ):
        raise ValueError(f"{covariance_name} must be a covariance: symmetric, no negative variance")
    return found


def _images(arrays: Mapping[str, Any]) -> Tensor | None:
    if "arr_0" not in arrays:
        return None
    images = arrays["arr_0"]
    if images.ndim != 4 or images.dtype != "uint8":
        raise ValueError(f"arr_0 must be uint8 images (N, H, W, C), got {images.dtype} {images.shape}")
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@contextlib.contextmanager
def _named(path: str | Path) -> Any:
    """Errors of what a file holds, as one line that begins with its path."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).split("\n")[0] if type(error) is ValueError else f"damaged ({error})"
        raise ValueError(f"{path}: {reason}") from error
