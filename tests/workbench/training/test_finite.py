"""A non-finite loss names its term and step and keeps the batch: a step later, or when it is asked for."""

import pytest
import torch
from safetensors.torch import load_file

from _support.mutants import catches
from _support.pretended_cuda import Event
from vistok.workbench.cost.pretended_cuda import META, PretendedCuda
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError

SUBJECT = "vistok.workbench.training.finite"
FINE = {"a": torch.tensor(1e30), "b": torch.tensor(0.0, dtype=torch.bfloat16)}
BAD = {"a": torch.tensor(1.0), "b": torch.tensor(float("nan"))}
BATCH = {"images": torch.zeros(1)}


@catches(SUBJECT, "_Told(step, tuple(terms)", "_Told(step, tuple(sorted(terms))")
@catches(SUBJECT, "save_tensors(path, one.batch)", "pass")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_term_the_step_and_the_batch_are_named(tmp_path, bad):
    terms = {
        "reconstruction": torch.tensor(1.0),
        "perceptual": torch.tensor(bad),
        "residual": torch.tensor(float("nan")),
    }
    batch = {"images": torch.arange(12.0).reshape(1, 3, 2, 2).flip(-1)}
    losses = FiniteLosses(tmp_path)
    losses.check(terms, 7, batch)
    with pytest.raises(NonFiniteLossError, match="step 7: loss term perceptual is") as caught:
        losses.settle()
    assert str(tmp_path / "nonfinite-step-7.safetensors") in str(caught.value)
    assert torch.equal(load_file(tmp_path / "nonfinite-step-7.safetensors")["images"], batch["images"])


def test_finite_terms_pass_and_write_nothing(tmp_path):
    losses = FiniteLosses(tmp_path)
    for step in range(3):
        losses.check(FINE, step, BATCH)
    losses.settle()
    assert not list(tmp_path.iterdir())


@catches(SUBJECT, "self._told[0].step != step", "self._told[0].step < step - 1")
@catches(SUBJECT, "_Told(step, tuple(terms)", "_Told(step + 1, tuple(terms)")
def test_the_next_step_stops_and_tells_of_the_step_before_with_its_batch(tmp_path):
    losses = FiniteLosses(tmp_path)
    losses.check(BAD, 7, {"images": torch.full((2,), 7.0)})
    with pytest.raises(NonFiniteLossError, match="step 7: loss term b is nan"):
        losses.check(FINE, 8, {"images": torch.full((2,), 8.0)})
    assert load_file(tmp_path / "nonfinite-step-7.safetensors")["images"].tolist() == [7.0, 7.0]


@catches(SUBJECT, "if self._told and", "if self._told or")
@catches(SUBJECT, "self._told[0].step != step", "self._told")
@catches(SUBJECT, "self._told.append(", "self._told[:] = (")
def test_all_that_one_step_tells_is_looked_at_in_its_order(tmp_path):
    """Micro-batches, and the terms of a second network, of which the first bad one made the others bad."""
    losses = FiniteLosses(tmp_path)
    losses.check(FINE, 3, BATCH)
    losses.check({"c": torch.tensor(float("inf"))}, 3, BATCH)
    losses.check(BAD, 3, BATCH)
    with pytest.raises(NonFiniteLossError, match="step 3: loss term c is inf"):
        losses.settle()


def test_what_was_looked_at_is_let_go(tmp_path):
    losses = FiniteLosses(tmp_path)
    losses.check(BAD, 0, BATCH)
    with pytest.raises(NonFiniteLossError):
        losses.settle()
    losses.settle()


@catches(SUBJECT, "self._told[0].step != step", "step >= 0")
def test_a_device_is_waited_for_when_its_terms_are_looked_at_and_not_before(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Event, "waited", 0)
    losses = FiniteLosses(tmp_path)
    with PretendedCuda():
        for step, waited in ((0, 0), (0, 0), (1, 2)):
            losses.check({"a": torch.empty((), device=META)}, step, {"x": torch.empty(2, device=META)})
            assert Event.waited == waited
        losses.settle()
    assert Event.waited == 3


@catches(SUBJECT, "name: tensor.detach() for", "name: tensor for")
def test_what_is_kept_of_a_step_holds_no_graph(tmp_path):
    weight = torch.ones(2, requires_grad=True)
    losses = FiniteLosses(tmp_path)
    losses.check({"a": weight.sum()}, 0, {"reconstruction": weight * 2.0})
    (told,) = losses._told
    assert not told.values.read().requires_grad
    assert not told.batch["reconstruction"].requires_grad
