"""On devices without float64, Apple's GPUs, every figure is that of the CPU."""

import pytest
import torch

from _support.mutants import catches
from _support.pretended_mps import OnMps, on_mps
from _support.strategies import normal, uniform
from vistok.metrics import (
    frequency_bands,
    kernel_distance,
    kernel_distance_of_subsets,
    linear_probe_accuracy,
    mean_absolute_error,
    mean_squared_error,
    nearest_neighbour_accuracy,
    neighbour_measures,
    psnr,
    relative_diversity,
    ssim,
)
from vistok.metrics.streaming import MeanOfImages

SUBJECT = "vistok.metrics._float64"
ROOM = "vistok.metrics"
PAIR = uniform(0, 3, 3, 16, 16), uniform(1, 3, 3, 16, 16)
SIDES = normal(0, 20, 5), normal(1, 20, 5) + 1
LABELS = torch.arange(20) % 2


def subsets(first, second):
    generator = torch.Generator().manual_seed(0)
    return kernel_distance_of_subsets(first, second, generator=generator, num_subsets=2, subset_size=8)


def mean_of_images(values):
    mean = MeanOfImages()
    mean.add(values)
    return mean.compute()


def neighbours(real, samples):
    return neighbour_measures(real, samples, k=(2,))[2]


def cases():
    labelled = SIDES[0], LABELS, SIDES[1], LABELS
    yield from ((measure, PAIR) for measure in (mean_squared_error, mean_absolute_error, psnr, ssim, frequency_bands))
    yield from ((measure, SIDES) for measure in (kernel_distance, subsets, neighbours))
    yield from (
        (measure, labelled) for measure in (relative_diversity, nearest_neighbour_accuracy, linear_probe_accuracy)
    )
    yield mean_of_images, (normal(0, 4),)


@catches(
    f"{ROOM}.reconstruction.pixel_errors",
    "square().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]\n    return to_float64(torch.cat(sums))",
    "square().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]\n    return torch.cat(sums).double()",
)
@catches(
    f"{ROOM}.reconstruction.pixel_errors",
    "abs().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]\n    return to_float64(torch.cat(sums))",
    "abs().sum(dim=(1, 2, 3)) for x, y in pixel_pairs(images, references)]\n    return torch.cat(sums).double()",
)
@catches(SUBJECT, 'values.cpu() if values.device.type == "mps" else values', "values")
@catches(f"{ROOM}.reconstruction.ssim", "to_float64(x), to_float64(y)", "x.double(), y.double()")
@catches(f"{ROOM}.reconstruction.frequency_bands", "to_float64(side)", "side.double()")
@catches(f"{ROOM}.distribution.kernel", "return on_float64_device(first.detach())", "return first.detach()")
@catches(f"{ROOM}.distribution.kernel", ", on_float64_device(second.detach())", ", second.detach()")
@catches(
    f"{ROOM}.distribution.kernel", "    first, second = _checked(first, second, 1)", "    _checked(first, second, 1)"
)
@catches(f"{ROOM}.distribution.neighbours", "x = on_float64_device(real.detach())", "x = real.detach()")
@catches(f"{ROOM}.distribution.neighbours", "y = on_float64_device(y.detach())", "y = y.detach()")
@catches(f"{ROOM}.distribution.diversity", "= on_float64_device(real.detach())", "= real.detach()")
@catches(f"{ROOM}.distribution.diversity", ", on_float64_device(samples.detach())", ", samples.detach()")
@catches(f"{ROOM}.codes.nearest_neighbour_probe", "to_float64(features.detach().flatten(1))", "features.double()")
@catches(f"{ROOM}.codes.linear_probe", ".cpu().double().numpy()", ".double().cpu().numpy()")
@catches(f"{ROOM}.streaming", "to_float64(values.detach())", "values.detach().double()")
def test_figures_of_tensors_on_such_a_device_are_those_of_the_cpu():
    for measure, arguments in cases():
        expected, found = measure(*arguments), measure(*map(on_mps, arguments))
        values = (found, expected) if isinstance(expected, tuple) else ((found,), (expected,))
        for one, other in zip(*values, strict=True):
            assert not isinstance(one, OnMps), measure
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, measure


def test_the_pretended_device_refuses_what_apples_do():
    with pytest.raises(TypeError, match="float64"):
        on_mps(PAIR[0]).double()
    with pytest.raises(RuntimeError, match="same device"):
        on_mps(PAIR[0]) + PAIR[1]
