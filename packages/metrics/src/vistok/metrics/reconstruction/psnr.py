"""Peak signal-to-noise ratio."""

import torch
from torch import Tensor

from vistok.metrics.pixels import to_uint8


def psnr(images: Tensor, references: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of each image, on 8-bit pixels with peak 255.

    .. math::
        \mathrm{PSNR}(x, y) = 10 \log_{10} \frac{255^2}{\frac{1}{CHW} \sum (x - y)^2}

    A data set's PSNR is the mean of these values. Pooling the squared errors of many images before the logarithm
    gives a lower number, which is not this definition.

    Args:
        images: In ``[-1, 1]`` (rounded to 8 bits first, as if written to a file), or uint8.
        references: The same shape.

    Shape:
        - images, references: ``(B, C, H, W)``.
        - psnr: ``(B,)``, float64.

    Range:
        ``[0, inf]``; ``inf`` exactly for equal 8-bit pixels.

    Gradient:
        None: rounding has none.

    Raises:
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.

    Example:
        >>> black = torch.full((1, 1, 2, 2), -1.0)
        >>> psnr(black, -black).tolist()
        [0.0]
    """
    pixels, reference_pixels = pixel_pair(images, references)
    mean_squares = (pixels - reference_pixels).square().mean(dim=(1, 2, 3))
    return 10.0 * torch.log10(255.0**2 / mean_squares)


def pixel_pair(images: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides of a comparison as 8-bit values in float64, after the checks that every such metric makes."""
    if images.shape != references.shape or images.ndim != 4 or 0 in images.shape[1:]:
        shapes = f"{tuple(images.shape)} and {tuple(references.shape)}"
        raise ValueError(f"images and references must both be the same (B, C, H, W), got {shapes}")
    return to_uint8(images).double(), to_uint8(references).double()
