"""Peak signal-to-noise ratio, by both definitions that papers use."""

import math

import torch
from torch import Tensor

from vistok.metrics.reconstruction.pixel_errors import MeanSquaredError, mean_squared_error
from vistok.metrics.streaming import MeanOfImages


def psnr(images: Tensor, references: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of each image, on 8-bit pixels with peak 255.

    .. math::
        \mathrm{PSNR}(x, y) = 10 \log_{10} \frac{255^2}{\frac{1}{CHW} \sum (x - y)^2}

    A data set's PSNR is the mean of these values (:class:`PeakSignalNoiseRatio`). Pooling the squared errors of many
    images before the logarithm gives a lower number (:func:`pooled_psnr`).

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
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.

    Example:
        >>> black = torch.full((1, 1, 2, 2), -1.0)
        >>> psnr(black, -black).tolist()
        [0.0]
    """
    return 10.0 * torch.log10(255.0**2 / mean_squared_error(images, references))


def pooled_psnr(images: Tensor, references: Tensor) -> float:
    """PSNR of the squared error of all images together; see :class:`PooledPeakSignalNoiseRatio`."""
    metric = PooledPeakSignalNoiseRatio()
    metric.update(images, references)
    return metric.compute()


class PeakSignalNoiseRatio(MeanOfImages):
    r"""Mean over images of the peak signal-to-noise ratio of each, as :func:`psnr` defines it.

    .. math::
        \frac1N \sum_n 10 \log_{10} \frac{255^2}{\mathrm{MSE}_n}

    One image without any error makes it infinite: no finite mean stands for it.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.

    Range:
        ``[0, inf]``; never below :class:`PooledPeakSignalNoiseRatio` of the same images of one size.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> metric = PeakSignalNoiseRatio()
        >>> black = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
        >>> metric.update(black + torch.tensor([255, 51], dtype=torch.uint8).view(2, 1, 1, 1), black)
        >>> round(metric.compute(), 4)
        6.9897
    """

    def update(self, images: Tensor, references: Tensor) -> None:
        """Take in a batch of images and their references."""
        self.add(psnr(images, references))


class PooledPeakSignalNoiseRatio(MeanSquaredError):
    r"""Peak signal-to-noise ratio of the squared error of all images together.

    .. math::
        10 \log_{10} \frac{255^2}{\frac1n \sum_i (x_i - y_i)^2}

    By Jensen's inequality it is at most the mean of the images' own (:class:`PeakSignalNoiseRatio`), the more below it
    the more images differ. Code that takes the logarithm of a batch's error gives a number between the two that depends
    on the size of its batches.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.

    Range:
        ``[0, inf]``; ``inf`` only if all pixels are equal.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; integers are summed, so the figure is equal to the last digit.

    Example:
        >>> metric = PooledPeakSignalNoiseRatio()
        >>> black = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
        >>> metric.update(black + torch.tensor([255, 51], dtype=torch.uint8).view(2, 1, 1, 1), black)
        >>> round(metric.compute(), 4)
        2.84
    """

    def compute(self) -> float:
        """The ratio of all images together, in dB."""
        error = super().compute()
        return 10.0 * math.log10(255.0**2 / error) if error else math.inf
