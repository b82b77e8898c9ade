"""What every streaming metric shares: states that are kept, restored and merged."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import MeanAbsoluteError, MeanSquaredError, NotMeasurableError, StructuralSimilarity
from vistok.metrics.streaming import MeanOfImages

SUBJECT = "vistok.metrics.streaming"


def seen(*values):
    metric = MeanOfImages()
    metric.add(torch.tensor(values))
    return metric


@catches(SUBJECT, "to_float64(values.detach()).sum()", "to_float64(values.detach()).mean()")
@catches(SUBJECT, 'self._state["total"] / self.count', 'self._state["total"]')
def test_the_mean_is_of_images_whatever_the_batches():
    """(1 + 2 + 3 + 6) / 4, not the mean of the means 2 and 6."""
    metric = seen(1.0, 2.0, 3.0)
    metric.add(torch.tensor([6.0]))
    metric.add(torch.zeros(0))
    assert metric.compute() == 3.0
    assert metric.count == 4


@catches(SUBJECT, "self._state[name] = self._state[name] + value", "self._state[name] = value")
def test_merging_adds_and_leaves_the_other_as_it_was():
    first, second = seen(1.0, 2.0), seen(6.0)
    first.merge(second)
    assert (first.compute(), second.compute()) == (3.0, 6.0)
    first.merge(MeanOfImages())
    assert first.compute() == 3.0


@catches(SUBJECT, "value.clone() for name, value in self", "value for name, value in self")
@catches(SUBJECT, "state[name].detach().cpu().clone()", "state[name].detach().cpu()")
def test_a_kept_state_is_a_copy_on_both_ways():
    metric, other = seen(1.0), MeanOfImages()
    kept = metric.state_dict()
    other.load_state_dict(kept)
    kept["total"].add_(100.0)
    assert metric.compute() == other.compute() == 1.0
    metric.add(torch.tensor([3.0]))
    assert (metric.compute(), other.compute()) == (2.0, 1.0)


@catches(SUBJECT, 'everything."""\n        self._state = self._empty()', 'everything."""')
def test_after_a_reset_it_is_as_new():
    metric = seen(1.0)
    metric.reset()
    with pytest.raises(NotMeasurableError, match="MeanOfImages needs at least 1 image, got 0"):
        metric.compute()


@catches(SUBJECT, "given.dtype != mine.dtype or not self._fits(given, mine)", "not self._fits(given, mine)")
@catches(SUBJECT, "if set(state) != set(self._state):", "if not set(state) >= set(self._state):")
def test_a_state_of_something_else_is_refused():
    metric = MeanOfImages()
    state = metric.state_dict()
    with pytest.raises(ValueError, match=r"state of MeanOfImages must hold \['count', 'total'\], got \['count'\]"):
        metric.load_state_dict({"count": state["count"]})
    with pytest.raises(ValueError, match=r"must hold .* got \['count', 'more', 'total'\]"):
        metric.load_state_dict({**state, "more": state["count"]})
    with pytest.raises(ValueError, match=r"state 'count' of MeanOfImages must be torch\.int64 \(\), got .*float32"):
        metric.load_state_dict({**state, "count": torch.tensor(1.0)})
    with pytest.raises(ValueError, match=r"must be torch\.float64 \(\), got torch\.float64 \(1,\)"):
        metric.load_state_dict({**state, "total": state["total"][None]})


@catches(SUBJECT, "if type(other) is not type(self):", "if False:")
@catches(SUBJECT, 'not name.startswith("_") and vars(other)[name] != mine', "False")
def test_only_what_is_alike_is_merged():
    with pytest.raises(TypeError, match="MeanSquaredError merges with its own kind, got MeanAbsoluteError"):
        MeanSquaredError().merge(MeanAbsoluteError())
    with pytest.raises(ValueError, match="both must have the same window, got 'uniform' and 'gaussian'"):
        StructuralSimilarity("uniform").merge(StructuralSimilarity())


def test_values_are_summed_in_float64():
    metric = MeanOfImages()
    for _ in range(200):
        metric.add(1.0 + 1e-4 * uniform(0, 50).float())
    assert abs(metric.compute() - (1.0 + 1e-4 * uniform(0, 50)).double().mean().item()) < 1e-12
