"""The state of a training comes back, is saved when due, and begins others."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import CheckpointError
from vistok.workbench.training import state as module
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError
from vistok.workbench.training.signals import Interrupted
from vistok.workbench.training.state import TrainState

SUBJECT = "vistok.workbench.training.state"
ALONE = Accelerator(cpu=True)


def make(tmp_path, value):
    torch.manual_seed(value)
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(model.parameters())
    return model, TrainState(
        tmp_path, {"model": model, "optimizer": optimizer}, every=5, writes=True, losses=FiniteLosses(tmp_path)
    )


def test_state_comes_back(tmp_path):
    model, state = make(tmp_path, 0)
    assert state.resume() == 0
    state.save(5)
    other, state = make(tmp_path, 1)
    assert state.resume() == 5
    assert torch.equal(model.weight, other.weight)


@catches(SUBJECT, "if stop or step % self.every", "if step % self.every")
@catches(SUBJECT, "        if stop:\n", "        if stop and step < steps:\n")
def test_an_interrupt_saves_the_finished_step_and_says_how_to_go_on(tmp_path):
    _, state = make(tmp_path, 0)
    with pytest.raises(Interrupted, match="stopped after step 3 of 10, which is saved; --resume continues"):
        state.after_step(3, 10, True, ALONE)
    assert state.resume() == 3
    with pytest.raises(Interrupted, match="stopped after step 10 of 10, which is saved"):  # what follows does not run
        state.after_step(10, 10, True, ALONE)
    assert state.resume() == 10


@catches(SUBJECT, "self.every == 0 or step == steps:", "self.every == 0:")
def test_checkpoints_come_when_due_and_at_the_end(tmp_path):
    _, state = make(tmp_path, 0)
    for step in range(1, 13):
        state.after_step(step, 12, False, ALONE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000010.pt", "step-000000012.pt"]


@catches(SUBJECT, "            self.losses.settle()\n", "")
@pytest.mark.parametrize("due", [5, 7])
def test_nothing_is_saved_of_a_step_whose_loss_is_not_finite(tmp_path, due):
    """Neither when a checkpoint is due, nor at the end, nor when a stop was asked for."""
    _, state = make(tmp_path / "checkpoints", 0)
    state.losses.folder = tmp_path
    state.losses.check({"loss": torch.tensor(1.0)}, 4, {"x": torch.ones(1)})
    state.after_step(4, 7, False, ALONE)
    state.losses.check({"loss": torch.tensor(float("nan"))}, due - 1, {"x": torch.ones(1)})
    with pytest.raises(NonFiniteLossError, match=f"step {due - 1}: loss term loss is nan"):
        state.after_step(due, 7, False, ALONE)
    assert not (tmp_path / "checkpoints").exists()
    assert (tmp_path / f"nonfinite-step-{due - 1}.safetensors").exists()


@catches(SUBJECT, "            accelerator.wait_for_everyone()", "            pass")
def test_a_process_saves_once_all_have_found_their_losses_finite(tmp_path):
    _, state = make(tmp_path / "checkpoints", 0)

    def meet():
        assert not (tmp_path / "checkpoints").exists()
        raise TimeoutError("the other one stopped")

    with pytest.raises(TimeoutError):
        state.after_step(5, 7, False, SimpleNamespace(wait_for_everyone=meet))
    assert not (tmp_path / "checkpoints").exists()


@catches(SUBJECT, 'group.update({name: value for name, value in options.items() if name != "params"})', "pass")
def test_a_training_starts_from_a_checkpoint_file_or_the_newest_of_a_folder(tmp_path, caplog):
    model, state = make(tmp_path / "first", 0)
    model(torch.ones(1, 3)).sum().backward()
    state.objects["optimizer"].step()
    state.save(5)
    for source in (tmp_path / "first", tmp_path / "first" / "step-000000005.pt"):
        other, begun = make(tmp_path / "second", 1)
        begun.objects["optimizer"].param_groups[0]["betas"] = (0.1, 0.2)
        begun.objects["new"] = torch.nn.Linear(2, 2)
        with caplog.at_level("INFO"):
            begun.start_from(source)
        assert torch.equal(other.weight, model.weight)
        optimizer = begun.objects["optimizer"]
        assert [int(entry["step"]) for entry in optimizer.state.values()] == [1, 1]
        assert optimizer.param_groups[0]["betas"] == (0.1, 0.2)
        assert f"start from step 5 of {source}; begins anew: new; left out: nothing" in caplog.text
    assert begun.resume() == 0


def test_a_start_that_does_not_fit_is_told_in_one_line(tmp_path):
    _, state = make(tmp_path / "first", 0)
    state.save(5)
    wider = TrainState(
        tmp_path / "second", {"model": torch.nn.Linear(3, 4)}, every=5, writes=True, losses=FiniteLosses(tmp_path)
    )
    with pytest.raises(ConfigError, match=r"init_from: model of .*first does not fit: .*size mismatch") as error:
        wider.start_from(tmp_path / "first")
    assert "\n" not in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty holds no checkpoint"):
        wider.start_from(tmp_path / "empty")
    with pytest.raises(CheckpointError, match=r"step-000000009\.pt cannot be read"):
        wider.start_from(tmp_path / "first" / "step-000000009.pt")
    with pytest.raises(ValueError, match="expected a name like step-000000100"):
        wider.start_from(tmp_path / "weights.pt")


@catches(SUBJECT, "if not sharded and not self.writes:", "if False:")
def test_of_several_processes_the_others_read_only(tmp_path):
    model, state = make(tmp_path, 0)
    other = TrainState(
        tmp_path,
        {"model": torch.nn.Linear(3, 3), "average": None},
        every=5,
        writes=False,
        losses=FiniteLosses(tmp_path),
    )
    other.save(5)
    assert list(tmp_path.iterdir()) == []
    state.save(5)
    assert other.resume() == 5
    assert torch.equal(other.objects["model"].weight, model.weight)
    assert list(other.objects) == ["model"]


class Beside:
    """In the place of checkpoints beside the training: which began, and what is waited for."""

    def __init__(self, monkeypatch):
        self.begun, self.futures = [], []
        monkeypatch.setattr(module, "is_sharded", lambda item: True)
        monkeypatch.setattr(module, "begin_sharded_checkpoint", self.begin)

    def begin(self, folder, step, state, group):
        assert all(future.done() for future in self.futures)
        self.begun.append(step)
        self.futures.append(Awaited())
        return self.futures[-1]


class Awaited(Future):
    """Ends when it is waited for."""

    def result(self, timeout=None):
        if not self.done():
            self.set_result(None)
        return super().result(timeout)


@catches(SUBJECT, "        if sharded and beside:\n            self.wait()\n", "        if sharded and beside:\n")
@catches(
    SUBJECT,
    "if stop or step == steps:\n            self.wait()",
    "if stop:\n            self.wait()",
)
def test_a_checkpoint_beside_is_waited_for_before_the_next_and_at_the_end(tmp_path, monkeypatch):
    beside, (_, state) = Beside(monkeypatch), make(tmp_path, 0)
    for step in range(1, 13):
        state.after_step(step, 12, False, ALONE, beside=True)
        assert step == 12 or not any(future.done() for future in beside.futures[-1:])
    assert beside.begun == [5, 10, 12]
    assert all(future.done() for future in beside.futures)


@catches(
    SUBJECT,
    "if stop or step == steps:\n            self.wait()",
    "if step == steps:\n            self.wait()",
)
def test_a_checkpoint_beside_is_waited_for_before_a_stop(tmp_path, monkeypatch):
    beside, (_, state) = Beside(monkeypatch), make(tmp_path, 0)
    with pytest.raises(Interrupted, match="stopped after step 3 of 10, which is saved"):
        state.after_step(3, 10, True, ALONE, beside=True)
    assert [future.done() for future in beside.futures] == [True]


@catches(SUBJECT, "self._being_written.done():", "step == steps:")
def test_one_that_failed_beside_is_told_at_the_next_step_and_once(tmp_path, monkeypatch):
    beside, (_, state) = Beside(monkeypatch), make(tmp_path, 0)
    state.after_step(5, 12, False, ALONE, beside=True)
    state.after_step(6, 12, False, ALONE, beside=True)
    beside.futures[0].set_exception(CheckpointError("step-5: could not be written"))
    with pytest.raises(CheckpointError, match="step-5: could not be written"):
        state.after_step(7, 12, False, ALONE, beside=True)
    state.after_step(8, 12, False, ALONE, beside=True)
