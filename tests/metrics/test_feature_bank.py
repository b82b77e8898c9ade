"""Features of a stream, all or a sample that no order changes."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.metrics import FeatureBank, streaming

SUBJECT = "vistok.metrics.distribution.feature_bank"
STREAMING = "vistok.metrics.streaming"


def fed(features, order, *, size=7, **options):
    bank = FeatureBank(features.shape[1], **options)
    for part in order.split(size):
        bank.update(features[part], part)
    return bank


@catches(SUBJECT, 'rows["features"][order]', 'rows["features"]')
def test_all_are_kept_in_the_order_of_the_images():
    features = normal(0, 50, 3)
    bank = fed(features, torch.randperm(50, generator=seeded(0)))
    assert torch.equal(bank.compute(), features)
    assert bank.indices.tolist() == list(range(50))


@catches(SUBJECT, "first[1:] = indices[1:] != indices[:-1]", "pass")
def test_an_image_that_comes_again_counts_once():
    """As a sampler sends it that fills its last batch with the first images."""
    features = normal(0, 10, 3)
    bank = fed(features, torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]))
    assert torch.equal(bank.compute(), features)
    bank.merge(fed(features, torch.tensor([9, 3])))
    assert torch.equal(bank.compute(), features)


@catches(SUBJECT, "image_keys(indices, self.seed).argsort()[: self.capacity]", "torch.arange(self.capacity)")
@catches(SUBJECT, "image_keys(indices, self.seed)", "image_keys(indices, 0)")
def test_a_sample_is_the_same_for_any_order_and_batches_and_no_first_ones():
    features = torch.arange(400.0)[:, None]
    kept = fed(features, torch.arange(400), capacity=20, seed=5).compute()
    assert kept.shape == (20, 1)
    assert kept.max() > 100
    for seed in range(3):
        order = torch.randperm(400, generator=seeded(seed))
        assert torch.equal(fed(features, order, size=3 + seed, capacity=20, seed=5).compute(), kept)
    halves = [fed(features, part, capacity=20, seed=5) for part in torch.arange(400).split(150)]
    for other in halves[1:]:
        halves[0].merge(other)
    assert torch.equal(halves[0].compute(), kept)
    assert not torch.equal(fed(features, torch.arange(400), capacity=20, seed=6).compute(), kept)


def test_a_sample_is_uniform():
    """Each of 40 images among 10 in a quarter of the seeds."""
    features = torch.arange(40.0)[:, None]
    drawn = torch.cat([fed(features, torch.arange(40), size=40, capacity=10, seed=s).indices for s in range(400)])
    assert (drawn.bincount(minlength=40) / 400 - 0.25).abs().max() < 4 * (0.25 * 0.75 / 400) ** 0.5


@catches(STREAMING, "max(_ROOM, _rows(self._state), _rows(state))", "10**6")
@catches(STREAMING, "_condensed({name: torch.cat(both) for", "_empty() or ({name: torch.cat(both) for")
def test_a_sample_of_many_takes_bounded_memory():
    bank = FeatureBank(2, capacity=100)
    for start in range(0, 60_000, 1000):
        bank.update(torch.zeros(1000, 2), torch.arange(start, start + 1000))
        assert len(bank._waiting["indices"]) <= 4096
    assert len(bank.indices) == 100


@catches(
    "vistok.metrics.streaming",
    "buffer[self._count_waiting : stop] = state[name]",
    "buffer[: _rows(state)] = state[name]",
)
@catches(STREAMING, "self._waiting[name][: self._count_waiting]", "self._waiting[name]")
def test_batches_larger_than_the_room_are_kept_too(monkeypatch):
    monkeypatch.setattr(streaming, "_ROOM", 4)
    features = normal(0, 60, 3)
    for size in (1, 3, 10, 60):
        assert torch.equal(fed(features, torch.arange(60), size=size).compute(), features)


@catches(SUBJECT, 'detach().to("cpu", self.dtype)', 'detach().to("cpu")')
@catches(SUBJECT, "torch.isfinite(kept)", "torch.isfinite(features)")
def test_half_precision_is_kept_and_refuses_what_it_cannot_hold():
    features = normal(0, 4, 3)
    bank = fed(features, torch.arange(4), dtype=torch.float16)
    assert bank.compute().dtype == torch.float16
    assert torch.allclose(bank.compute().float(), features, rtol=1e-3)
    with pytest.raises(ValueError, match=r"features must be finite as torch\.float16"):
        bank.update(torch.full((1, 3), 1e5), torch.tensor([9]))


@catches(STREAMING, "buffer[self._count_waiting : stop] = state[name]", "self._waiting = dict(state)")
def test_what_was_given_may_be_reused():
    buffer, bank = torch.zeros(1, 2), FeatureBank(2)
    for number in range(3):
        buffer.fill_(number)
        bank.update(buffer, torch.tensor([number]))
    assert bank.compute()[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_bad_input_is_named():
    bank = FeatureBank(2)
    with pytest.raises(ValueError, match=r"features must be \(B, 2\), got \(1, 3\)"):
        bank.update(torch.zeros(1, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="indices must be 1 whole numbers"):
        bank.update(torch.zeros(1, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        FeatureBank(2, capacity=0)
    with pytest.raises(ValueError, match=r"state 'features' of FeatureBank must be torch\.float32 \(0, 2\), got"):
        bank.load_state_dict(FeatureBank(3).state_dict())
