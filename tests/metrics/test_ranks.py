"""Two ranks that saw half of the images each have the figure of one that saw all."""

import pytest
import torch

from _support.gloo import join_group, run_on_two_ranks
from _support.mutants import catches
from _support.strategies import normal, uniform
from vistok.metrics import (
    CodePairs,
    FeatureBank,
    FeatureStatistics,
    InceptionScore,
    PeakSignalNoiseRatio,
    PooledPeakSignalNoiseRatio,
    merged_over_ranks,
)

SUBJECT = "vistok.metrics.ranks"
STREAMING = "vistok.metrics.streaming"
IMAGES = uniform(0, 10, 3, 8, 8), uniform(1, 10, 3, 8, 8)
NUMBERS = torch.arange(10)


def metrics_of(part):
    """Of images ``part``, and twice the last one's features, as a sampler that fills up sends them."""
    again = torch.cat([part, part[-1:]])
    fed = [PeakSignalNoiseRatio(), PooledPeakSignalNoiseRatio(), CodePairs(3, 4), FeatureBank(5, capacity=4)]
    fed += [InceptionScore(5, splits=2), FeatureStatistics(5)]
    features = normal(2, 10, 5)
    for metric, arguments in zip(
        fed,
        (
            [side[part] for side in IMAGES],
            [side[part] for side in IMAGES],
            [part % 3, part % 4],
            [features[again], again],
            [features[part].softmax(dim=1), part],
            [features[part]],
        ),
        strict=True,
    ):
        metric.update(*arguments)
    return fed


def figures(fed):
    return [metric.compute() for metric in fed]


def both_ranks(rank):
    fed = metrics_of(NUMBERS[:4] if rank == 0 else NUMBERS[4:])
    own = figures(fed)
    merged = [merged_over_ranks(metric) for metric in fed]
    again = [merged_over_ranks(metric) for metric in fed]
    after = figures(fed)
    fed[3].update(torch.full((4, 5), 9.0), torch.arange(4) + 20)  # goes on beside what was merged
    return figures(merged), own, after, figures(again)


def flat(found):
    return torch.cat([torch.as_tensor(value).double().flatten() for one in found for value in parts(one)])


def parts(one):
    return one if isinstance(one, tuple) else [one]


@catches(SUBJECT, "for state in states:", "for state in states[:1]:")
@catches(SUBJECT, "total, part = copy.copy(metric), copy.copy(metric)", "total, part = metric, copy.copy(metric)")
@catches(SUBJECT, "    total.reset()\n", "")
@catches(
    STREAMING,
    'everything."""\n        self._waiting, self._count_waiting = {}, 0',
    'everything."""\n        self._count_waiting = 0',
)
def test_two_ranks_are_one():
    whole = figures(metrics_of(NUMBERS))
    for rank, (merged, own, after, again) in enumerate(run_on_two_ranks(both_ranks)):
        assert torch.allclose(flat(merged), flat(whole), rtol=1e-10, atol=1e-10)
        for exact in (1, 2, 3):
            assert torch.equal(flat([merged[exact]]), flat([whole[exact]]))
        assert torch.equal(flat(own), flat(after)), rank
        assert torch.equal(flat(merged), flat(again))


def joined_late(rank):
    metric = CodePairs(2, 2)
    metric.update(torch.tensor([rank]), torch.tensor([rank]))
    alone = merged_over_ranks(metric).compute().joint_entropy
    join_group()
    return alone, merged_over_ranks(metric).compute().joint_entropy


def test_a_group_that_comes_later_is_asked_then():
    assert run_on_two_ranks(joined_late, grouped=False) == [(0.0, 1.0)] * 2


def test_one_process_gets_a_copy():
    metric = PooledPeakSignalNoiseRatio()
    metric.update(*IMAGES)
    merged = merged_over_ranks(metric)
    assert merged.compute() == metric.compute()
    metric.reset()
    assert merged.compute() == pytest.approx(8.0, abs=2.0)
