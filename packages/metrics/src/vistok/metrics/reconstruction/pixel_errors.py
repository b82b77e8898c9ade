"""Squared and absolute error of 8-bit pixels, exact."""

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.reconstruction._pixel_pairs import pixel_pairs
from vistok.metrics.streaming import StreamingMetric


def mean_squared_error(images: Tensor, references: Tensor) -> Tensor:
    """Mean squared difference of the 8-bit pixels of each image, ``(B,)`` float64; see :class:`MeanSquaredError`."""
    sums = [_differences(x, y).square().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]
    return to_float64(torch.cat(sums)) / images.shape[1:].numel()


def mean_absolute_error(images: Tensor, references: Tensor) -> Tensor:
    """Mean absolute difference of the 8-bit pixels of each image, ``(B,)`` float64; see :class:`MeanAbsoluteError`."""
    sums = [_differences(x, y).abs().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]
    return to_float64(torch.cat(sums)) / images.shape[1:].numel()


class _PixelError(StreamingMetric):
    """A sum of integers over all values, and how many there were."""

    def _empty(self) -> dict[str, Tensor]:
        return {"errors": torch.zeros((), dtype=torch.int64), "values": torch.zeros((), dtype=torch.int64)}

    def _error(self, difference: Tensor) -> Tensor:
        raise NotImplementedError

    def update(self, images: Tensor, references: Tensor) -> None:
        """Take in a batch of images and their references."""
        for x, y in pixel_pairs(images, references):
            errors = self._error(_differences(x, y)).sum().cpu()
            self._add({"errors": errors, "values": torch.tensor(x.numel())})

    def compute(self) -> float:
        """The mean over all values of all images."""
        self._need(int(self._state["values"]), "image")
        return int(self._state["errors"]) / int(self._state["values"])


class MeanSquaredError(_PixelError):
    r"""Mean squared difference of 8-bit pixels, over all values of all images.

    .. math::
        \mathrm{MSE} = \frac{1}{n} \sum_i (x_i - y_i)^2

    Integers are summed, so the figure is the same to the last digit however the images are divided.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.

    Range:
        ``[0, 65025]``; 0 exactly for equal 8-bit pixels.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> metric = MeanSquaredError()
        >>> black = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
        >>> metric.update(black + 3, black)
        >>> metric.compute()
        9.0
    """

    def _error(self, difference: Tensor) -> Tensor:
        return difference.square()


class MeanAbsoluteError(_PixelError):
    r"""Mean absolute difference of 8-bit pixels, over all values of all images.

    .. math::
        \mathrm{MAE} = \frac{1}{n} \sum_i |x_i - y_i|

    Integers are summed, so the figure is the same to the last digit however the images are divided.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.

    Range:
        ``[0, 255]``; 0 exactly for equal 8-bit pixels.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Shapes differ, are not ``(B, C, H, W)``, or values cannot be meant as ``[-1, 1]``.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> metric = MeanAbsoluteError()
        >>> black = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
        >>> metric.update(black + 3, black)
        >>> metric.compute()
        3.0
    """

    def _error(self, difference: Tensor) -> Tensor:
        return difference.abs()


def _differences(x: Tensor, y: Tensor) -> Tensor:
    return x.int() - y.int()
