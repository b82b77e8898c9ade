"""Structural similarity, under the Gaussian window of its paper or the uniform one of scikit-image's default."""

from typing import Literal

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.reconstruction._pixel_pairs import pixel_pairs
from vistok.metrics.streaming import MeanOfImages

Window = Literal["gaussian", "uniform"]

_SIGMA = 1.5
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2


def ssim(images: Tensor, references: Tensor, *, window: Window = "gaussian") -> Tensor:
    r"""Structural similarity of each image, on 8-bit pixels with data range 255, in float64.

    .. math::
        \mathrm{SSIM} = \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
                             {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    with moments under a window, ``c_1 = (0.01 * 255)^2``, ``c_2 = (0.03 * 255)^2``; the mean over channels and over all
    positions where the window fits. Implementations that pad the borders, or that take a data range twice as large as
    the values span, give other numbers. Two windows are in use, and their numbers differ:

    - ``"gaussian"``: 11 pixels, deviation 1.5, as the paper says;
    - ``"uniform"``: 7 pixels of equal weight with the sample covariance (divided by 48, not 49), the default of
      scikit-image's ``structural_similarity``, which most tokenizers' scripts call.

    Source:
        Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", Eq. 13.

    Args:
        images: In ``[-1, 1]`` (rounded to 8 bits first), or uint8.
        references: The same shape.
        window: ``"gaussian"`` or ``"uniform"``; say which beside the number.

    Shape:
        - images, references: ``(B, C, H, W)``, at least as many pixels a side as the window.
        - ssim: ``(B,)``, float64.

    Range:
        ``[-1, 1]``; 1 for equal images. Symmetric in its arguments.

    Gradient:
        None: rounding has none.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ or are not ``(B, C, H, W)``; no such window.
        NotMeasurableError: Images are smaller than the window.

    Example:
        >>> images = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
        >>> ssim(images, images).tolist()
        [1.0]
    """
    weights, correction = _weights(window)
    values = []
    for x, y in pixel_pairs(images, references):
        if min(x.shape[-2:]) < len(weights):
            size = tuple(x.shape[-2:])
            raise NotMeasurableError(f"images must be at least {len(weights)} pixels a side for SSIM, got {size}")
        x, y = to_float64(x), to_float64(y)
        rows, columns = (_sliding(weights, size).to(x.device) for size in x.shape[-2:])
        values.append(_similarity(x, y, rows, columns, correction))
    return torch.cat(values)


class StructuralSimilarity(MeanOfImages):
    r"""Mean over images of the structural similarity of each, as :func:`ssim` defines it.

    Args:
        window: ``"gaussian"`` (the paper's) or ``"uniform"`` (scikit-image's default); say which beside the number.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.

    Range:
        ``[-1, 1]``; 1 for equal images.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ or are not ``(B, C, H, W)``; no such window.
        NotMeasurableError: Images are smaller than the window; ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> metric = StructuralSimilarity(window="uniform")
        >>> images = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
        >>> metric.update(images, images)
        >>> metric.compute()
        1.0
    """

    def __init__(self, window: Window = "gaussian") -> None:
        super().__init__()
        _weights(window)
        self.window = window

    def update(self, images: Tensor, references: Tensor) -> None:
        """Take in a batch of images and their references."""
        self.add(ssim(images, references, window=self.window))


def _weights(window: Window) -> tuple[Tensor, float]:
    """The window along one side, and what brings its covariances to those of the definition."""
    if window == "gaussian":
        offsets = torch.arange(-5, 6, dtype=torch.float64)
        weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
        return weights / weights.sum(), 1.0
    if window == "uniform":
        return torch.full((7,), 1 / 7, dtype=torch.float64), 49 / 48
    raise ValueError(f"window must be 'gaussian' or 'uniform', got {window!r}")


def _similarity(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor, correction: float) -> Tensor:
    def local_mean(values: Tensor) -> Tensor:
        return rows @ values @ columns.T

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = (local_mean(x * x) - mean_x**2) * correction
    variance_y = (local_mean(y * y) - mean_y**2) * correction
    covariance = (local_mean(x * y) - mean_x * mean_y) * correction
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    return similarity.mean(dim=(1, 2, 3))


def _sliding(weights: Tensor, size: int) -> Tensor:
    """``(size - w + 1, size)``: row ``i`` weighs the pixels from ``i`` on by the window, so a product slides it."""
    matrix = torch.zeros(size - len(weights) + 1, size, dtype=torch.float64)
    for row in range(len(matrix)):
        matrix[row, row : row + len(weights)] = weights
    return matrix
