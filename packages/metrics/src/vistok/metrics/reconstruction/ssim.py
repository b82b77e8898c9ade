"""Structural similarity."""

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.reconstruction.psnr import pixel_pair

_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2


def ssim(images: Tensor, references: Tensor) -> Tensor:
    r"""Structural similarity of each image, on 8-bit pixels with data range 255, in float64.

    .. math::
        \mathrm{SSIM} = \frac{(2 \mu_x \mu_y + c_1)(2 \sigma_{xy} + c_2)}
                             {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    with moments under a Gaussian window of 11 pixels and deviation 1.5, ``c_1 = (0.01 * 255)^2``, ``c_2 = (0.03 *
    255)^2``; the mean over channels and over all positions where the window fits. Implementations that pad the
    borders, or that take a data range twice as large as the values span, give other numbers.

    Source:
        Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", Eq. 13.

    Args:
        images: In ``[-1, 1]`` (rounded to 8 bits first), or uint8.
        references: The same shape.

    Shape:
        - images, references: ``(B, C, H, W)``, at least 11 pixels a side.
        - ssim: ``(B,)``, float64.

    Range:
        ``[-1, 1]``; 1 for equal images. Symmetric in its arguments.

    Gradient:
        None: rounding has none.

    Raises:
        ValueError: Shapes differ or are not ``(B, C, H, W)``.
        NotMeasurableError: Images are smaller than the window.

    Example:
        >>> images = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
        >>> ssim(images, images).tolist()
        [1.0]
    """
    x, y = pixel_pair(images, references)
    if min(x.shape[-2:]) < _WINDOW:
        raise NotMeasurableError(f"images must be at least {_WINDOW} pixels a side for SSIM, got {tuple(x.shape[-2:])}")
    rows, columns = (_window_matrix(size) for size in x.shape[-2:])

    def local_mean(values: Tensor) -> Tensor:
        return rows @ values @ columns.T

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = local_mean(x * x) - mean_x**2
    variance_y = local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    return similarity.mean(dim=(1, 2, 3))


def _window_matrix(size: int) -> Tensor:
    """``(size - 10, size)``: row ``i`` weighs the pixels ``i`` to ``i + 10`` by the window, so a product slides it."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - (_WINDOW - 1) / 2
    window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    matrix = torch.zeros(size - _WINDOW + 1, size, dtype=torch.float64)
    for row in range(len(matrix)):
        matrix[row, row : row + _WINDOW] = window / window.sum()
    return matrix
