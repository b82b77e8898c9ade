"""Squared and absolute error of 8-bit pixels."""

import numpy as np
import torch

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import MeanAbsoluteError, MeanSquaredError, mean_absolute_error, mean_squared_error

SUBJECT = "vistok.metrics.reconstruction.pixel_errors"


def pixels(seed, *shape):
    return (uniform(seed, *shape) * 127.5 + 127.5).round().byte()


@catches(SUBJECT, "return x.int() - y.int()", "return x - y")
def test_by_hand():
    """0 against 200 and 7 against 4: no value wraps around; (40000 + 9) / 2 and (200 + 3) / 2."""
    images = torch.tensor([0, 7], dtype=torch.uint8).view(1, 1, 1, 2)
    references = torch.tensor([200, 4], dtype=torch.uint8).view(1, 1, 1, 2)
    assert mean_squared_error(images, references).tolist() == [20004.5]
    assert mean_absolute_error(images, references).tolist() == [101.5]
    for metric, wanted in ((MeanSquaredError(), 20004.5), (MeanAbsoluteError(), 101.5)):
        metric.update(images, references)
        assert metric.compute() == wanted


@catches(SUBJECT, ".square().sum(dim=(1, 2, 3)) for", ".square().sum().expand(len(x)) for")
@catches(SUBJECT, ".abs().sum(dim=(1, 2, 3)) for", ".sum(dim=(1, 2, 3)).abs() for")
@catches(SUBJECT, "return difference.square()", "return difference.abs()")
@catches(SUBJECT, "return difference.abs()", "return difference")
@catches(SUBJECT, "self._error(_differences(x, y)).sum()", "self._error(_differences(x, y)).float().mean()")
def test_they_follow_their_formulas_and_streams_are_their_means():
    x, y = pixels(0, 5, 3, 6, 7), pixels(1, 5, 3, 6, 7)
    a, b = (side.numpy().astype(np.float64) for side in (x, y))
    squares, magnitudes = ((a - b) ** 2).mean((1, 2, 3)), np.abs(a - b).mean((1, 2, 3))
    np.testing.assert_allclose(mean_squared_error(x, y), squares, rtol=1e-14)
    np.testing.assert_allclose(mean_absolute_error(x, y), magnitudes, rtol=1e-14)
    for metric, wanted in ((MeanSquaredError(), squares), (MeanAbsoluteError(), magnitudes)):
        for part in ([0, 1], [2], [3, 4]):
            metric.update(x[part], y[part])
        np.testing.assert_allclose(metric.compute(), wanted.mean(), rtol=1e-14)


@catches(SUBJECT, "torch.tensor(x.numel())", "torch.tensor(len(x))")
def test_images_of_several_sizes_count_by_their_values():
    """Four values off by 2 and one off by 12: (4 * 4 + 144) / 5."""
    metric = MeanSquaredError()
    for size, error in ((2, 2), (1, 12)):
        black = torch.zeros(1, 1, size, size, dtype=torch.uint8)
        metric.update(black + error, black)
    assert metric.compute() == 32.0
