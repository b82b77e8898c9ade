"""What holds of every streaming metric: any division into batches, any order of merging, kept and restored."""

from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import NamedTuple

import pytest
import torch

from _support.strategies import normal, uniform
from vistok.metrics import (
    BitBalance,
    CodePairs,
    CodeUsage,
    FeatureBank,
    FeatureStatistics,
    FrequencyBands,
    InceptionScore,
    MeanAbsoluteError,
    MeanSquaredError,
    NotMeasurableError,
    PeakSignalNoiseRatio,
    PerceptualDistance,
    PooledPeakSignalNoiseRatio,
    RateDistortion,
    StreamingMetric,
    StructuralSimilarity,
)
from vistok.metrics.streaming import GatheringMetric

COUNT = 12


class Case(NamedTuple):
    """How a metric is made, what its batches are cut from, and whether figures are equal to the last digit."""

    make: Callable[[], StreamingMetric]
    arguments: tuple[torch.Tensor, ...]
    exact: bool = False


def half_and_whole(batch: torch.Tensor) -> list[torch.Tensor]:
    return [batch, batch[..., ::2, ::2]]


IMAGES = (uniform(0, COUNT, 3, 16, 12), uniform(1, COUNT, 3, 16, 12))
CASES = {
    "MSE": Case(MeanSquaredError, IMAGES, exact=True),
    "MAE": Case(MeanAbsoluteError, IMAGES, exact=True),
    "PSNR": Case(PeakSignalNoiseRatio, IMAGES),
    "pooled PSNR": Case(PooledPeakSignalNoiseRatio, IMAGES, exact=True),
    "SSIM": Case(StructuralSimilarity, IMAGES),
    "SSIM, uniform": Case(partial(StructuralSimilarity, "uniform"), IMAGES),
    "frequency bands": Case(partial(FrequencyBands, (0.25, 0.75)), IMAGES),
    "feature statistics": Case(partial(FeatureStatistics, 5), (normal(0, COUNT, 5) + 50,)),
    "Inception Score": Case(
        partial(InceptionScore, 4, splits=2), (normal(0, COUNT, 4).softmax(dim=1), torch.arange(COUNT))
    ),
    "feature bank": Case(partial(FeatureBank, 5), (normal(0, COUNT, 5), torch.arange(COUNT)), exact=True),
    "sample of features": Case(
        partial(FeatureBank, 5, capacity=4, seed=1), (normal(0, COUNT, 5), torch.arange(COUNT)), exact=True
    ),
    "code usage": Case(partial(CodeUsage, 5, 2), (torch.arange(COUNT * 6).view(COUNT, 3, 2) % 5,), exact=True),
    "code pairs": Case(
        partial(CodePairs, 5, 3),
        (torch.arange(COUNT * 2).view(COUNT, 2) % 5, torch.eye(COUNT).long()[:, :2]),
        exact=True,
    ),
    "rate and distortion": Case(
        partial(RateDistortion, (5, 3)), (*IMAGES, torch.arange(COUNT * 4).view(COUNT, 4) % 5, torch.eye(COUNT).long())
    ),
    "bits": Case(partial(BitBalance, (2, 3)), (torch.arange(COUNT * 6).view(COUNT, 2, 3) % 4 // 2,), exact=True),
    "perceptual": Case(partial(PerceptualDistance, half_and_whole), IMAGES),
}


def fed(case: Case, *parts: range | list[int]) -> StreamingMetric:
    metric = case.make()
    for part in parts:
        metric.update(*(side[list(part)] for side in case.arguments))
    return metric


def numbers(value: object) -> torch.Tensor:
    """All numbers of a figure, whatever holds them."""
    if isinstance(value, torch.Tensor):
        return value.double().flatten()
    if isinstance(value, int | float):
        return torch.tensor([value], dtype=torch.float64)
    assert isinstance(value, tuple | list)
    return torch.cat([numbers(item) for item in value])


def agree(first: StreamingMetric, second: StreamingMetric, case: Case) -> bool:
    one, other = numbers(first.compute()), numbers(second.compute())
    return torch.equal(one, other) if case.exact else torch.allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return CASES[request.param]


def test_any_division_into_batches_gives_one_figure(case):
    whole = fed(case, range(COUNT))
    assert agree(fed(case, *([n] for n in range(COUNT))), whole, case)
    assert agree(fed(case, range(5), [], range(5, 7), range(7, COUNT)), whole, case)


def test_merging_in_any_order_gives_the_figure_of_one_pass(case):
    whole = fed(case, range(COUNT))
    for order in permutations((range(3), range(3, 4), range(4, COUNT))):
        first, *others = (fed(case, part) for part in order)
        for other in others:
            first.merge(other)
        first.merge(case.make())
        assert agree(first, whole, case)


def test_what_is_kept_does_not_grow_with_the_images_but_where_features_or_pairs_are(case):
    def size(metric):
        return sum(value.numel() for value in metric.state_dict().values())

    grows = isinstance(case.make(), GatheringMetric)
    assert (size(fed(case, range(COUNT))) > size(fed(case, range(2)))) == grows


def test_a_stream_goes_on_from_its_kept_state(case, tmp_path):
    torch.save(fed(case, range(7)).state_dict(), tmp_path / "state.pt")
    resumed = case.make()
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.update(*(side[7:] for side in case.arguments))
    assert agree(resumed, fed(case, range(COUNT)), case)


def test_a_reset_stream_is_as_new(case):
    metric = fed(case, range(7))
    metric.reset()
    with pytest.raises(NotMeasurableError):
        metric.compute()
    metric.update(*case.arguments)
    assert agree(metric, fed(case, range(COUNT)), case)


def test_an_update_leaves_what_it_is_given_as_it_was(case):
    kept = [side.clone() for side in case.arguments]
    fed(case, range(COUNT)).compute()
    assert all(torch.equal(side, before) for side, before in zip(case.arguments, kept, strict=True))
