"""Two ranks that saw half of the images each have the figure of one that saw all."""

import socket

import pytest
import torch
import torch.distributed as dist

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
from vistok.metrics.ranks import Rank, joined_processes, own_rank

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
    # Numbers, not the tuples of the package: a planted bug's own classes could not be sent back.
    return [[flat([one]) for one in found] for found in (figures(merged), own, after, figures(again))]


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
    whole = [flat([one]) for one in figures(metrics_of(NUMBERS))]
    for rank, (merged, own, after, again) in enumerate(run_on_two_ranks(both_ranks)):
        assert torch.allclose(torch.cat(merged), torch.cat(whole), rtol=1e-10, atol=1e-10)
        for exact in (1, 2, 3):
            assert torch.equal(merged[exact], whole[exact])
        assert torch.equal(torch.cat(own), torch.cat(after)), rank
        assert torch.equal(torch.cat(merged), torch.cat(again))


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


def told(rank):
    return tuple(own_rank())


@catches(SUBJECT, "Rank(dist.get_rank(), dist.get_world_size())", "Rank(dist.get_world_size(), dist.get_rank())")
def test_a_process_knows_which_of_how_many_it_is():
    assert own_rank() == Rank(0, 1)
    assert run_on_two_ranks(told) == [(0, 2), (1, 2)]


def joined(rank, folder):
    """What a process of a launch of two is, before, within and after a command that joins the launch."""
    with pytest.MonkeyPatch.context() as patch:
        port = (folder / "port").read_text()
        launch = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in {**launch, "TORCHELASTIC_RUN_ID": "test"}.items():
            patch.setenv(name, value)
        before = tuple(own_rank())
        with joined_processes():
            within = tuple(own_rank())
        return before, within, tuple(own_rank())


@catches(SUBJECT, "dist.destroy_process_group()", "pass")
@catches(SUBJECT, "if not dist.is_available() or", "if dist.is_available() or")
def test_a_command_joins_the_processes_of_its_launch_and_parts_at_the_end(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    found = run_on_two_ranks(joined, tmp_path, grouped=False)
    assert found == [((0, 1), (rank, 2), (0, 1)) for rank in range(2)]


def grouped_already(rank):
    with joined_processes():
        within = tuple(own_rank())
    return within, tuple(own_rank())


@catches(SUBJECT, "or dist.is_initialized() or not", "or not")
def test_a_command_in_a_group_or_alone_changes_nothing(monkeypatch):
    assert run_on_two_ranks(grouped_already) == [((rank, 2), (rank, 2)) for rank in range(2)]
    with joined_processes():
        assert own_rank() == Rank(0, 1)
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "init_process_group", lambda backend: pytest.fail("joined twice"))
    with joined_processes():
        pass
