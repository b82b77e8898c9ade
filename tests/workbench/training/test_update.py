"""One update of a network: exact accumulation, terms by name, and a stop where a loss was not finite."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from _support.mutants import catches
from vistok.workbench.config import Config
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.update import Learner, micro_steps, weighted_sum

SUBJECT = "vistok.workbench.training.update"

DATA = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


class Weights(Config):
    square_weight: float = 2.0
    size_weight: float = 0.5


def make():
    torch.manual_seed(1)
    return torch.nn.Linear(3, 1)


def update(network, parts=1, data=DATA, losses=None, **settings):
    """One step of gradient descent on two terms, and their log."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    settings = TrainConfig(steps=1, batch_size=8, **settings)
    learner = Learner(network, optimizer, Accelerator(cpu=True), settings, losses or FiniteLosses(Path()))
    log = {}
    for micro, batch in micro_steps(learner, 7, data.chunk(parts), log):
        with learner.precision():
            out = network(batch)
        terms = {"square": out.float().square().mean(), "size": out.float().abs().mean()}
        micro.backward(terms, weighted_sum(terms, Weights()), {"batch": batch})
    return log


@catches(SUBJECT, '_weight") * term for name', '_weight") * 0 + term for name')
@catches(SUBJECT, "zero_grad(set_to_none=True)", "zero_grad")
@catches(SUBJECT, " if sharded else learner.optimizer.step()", " if sharded else None")
@catches(SUBJECT, "+ term.detach() / self.count", "+ term / self.count")
def test_it_is_one_step_of_gradient_descent_on_the_weighted_sum():
    ours, theirs = make(), make()
    ours(DATA).sum().backward()  # gradients of before do not count
    log = update(ours)
    out = theirs(DATA)
    (2.0 * out.square().mean() + 0.5 * out.abs().mean()).backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b.detach() - 0.1 * b.grad)
    torch.testing.assert_close(log, {"square": out.square().mean().detach(), "size": out.abs().mean().detach()})
    assert not any(term.requires_grad for term in log.values())


@catches(SUBJECT, "backward(total / self.count)", "backward(total)")
@catches(SUBJECT, "term.detach() / self.count", "term.detach()")
@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_equal_the_whole_batch(parts):
    whole, divided = make(), make()
    torch.testing.assert_close(update(whole), update(divided, parts))
    torch.testing.assert_close(whole.weight, divided.weight)


@catches(SUBJECT, "contextlib.nullcontext() if last else", "contextlib.nullcontext() if index == 0 else")
def test_processes_exchange_gradients_on_the_last_micro_batch_only():
    network, exchanges = make(), []

    class Watched(Accelerator):
        def no_sync(self, model):
            exchanges.append(model is network)
            return super().no_sync(model)

    learner = Learner(
        network, torch.optim.SGD(network.parameters()), Watched(cpu=True), TrainConfig(steps=1, batch_size=3), None
    )
    seen = []
    for micro, part in micro_steps(learner, 0, "abc", {}):
        seen.append((micro.index, micro.count, part, len(exchanges)))
    assert seen == [(0, 3, "a", 1), (1, 3, "b", 2), (2, 3, "c", 2)]
    assert exchanges == [True, True]


def test_the_gradients_are_clipped_together():
    network = make()
    before = torch.cat([p.detach().flatten() for p in network.parameters()])
    update(network, parts=2, clip_norm=1e-3)
    after = torch.cat([p.detach().flatten() for p in network.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


@catches(SUBJECT, "self.learner.losses.check(terms, self.step, batch)", "pass")
@pytest.mark.parametrize("parts", [1, 2])
def test_a_term_that_is_not_finite_is_told_with_its_batch(tmp_path, parts):
    losses = FiniteLosses(tmp_path)
    data = DATA.clone()
    data[-1] = float("nan")
    update(make(), parts, data, losses)
    with pytest.raises(NonFiniteLossError, match="step 7: loss term square is nan"):
        losses.settle()
    kept = load_file(tmp_path / "nonfinite-step-7.safetensors")["batch"]
    torch.testing.assert_close(kept, data.chunk(parts)[-1], equal_nan=True)
