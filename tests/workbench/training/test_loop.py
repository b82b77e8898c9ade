"""The shared loop: the same numbers killed or not, logs when due, checkpoints before a stop."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from _support.mutants import catches
from _support.seeing_tracker import pictures_shown
from vistok.workbench.config import load_config
from vistok.workbench.run.tracking import MetricsLog, read_metrics
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig, own_micro_batches, training_steps
from vistok.workbench.training.signals import Interrupted
from vistok.workbench.training.state import TrainState

SUBJECT = "vistok.workbench.training.loop"

SETTINGS = TrainConfig(steps=10, batch_size=1, learning_rate=0.1, warmup_steps=2, checkpoint_every=4, log_every=3)


def train(folder, *, resume=False, body=lambda step: None, tell=lambda losses, step: None, settings=SETTINGS):
    torch.manual_seed(0)
    weight = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(weight.parameters())
    losses = FiniteLosses(folder)
    state = TrainState(
        folder / "checkpoints", {"model": weight, "optimizer": optimizer}, every=4, writes=True, losses=losses
    )
    start = state.resume() if resume else 0
    log = MetricsLog(folder / "metrics.jsonl")
    for step in training_steps("toy", settings, state, log, Accelerator(cpu=True), start=start, seed=7):
        optimizer.param_groups[0]["lr"] = step.rate
        loss = (weight(torch.randn(4, 2, generator=step.draws)) - torch.randn(4, 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step.log["loss"] = loss.detach()
        body(step)
        tell(losses, step.index)
    return weight.weight.detach(), read_metrics(log.path)


def second_of_two(reduce, device="cpu"):
    """The accelerator of the second of two processes, of which nothing but what it reduces is asked."""
    return SimpleNamespace(
        num_processes=2,
        process_index=1,
        is_main_process=False,
        device=torch.device(device),
        reduce=reduce,
        log=lambda values, step: None,
        wait_for_everyone=lambda: None,
    )


def empty_state(folder):
    return TrainState(folder, {"model": torch.nn.Linear(1, 1)}, every=4, writes=True, losses=FiniteLosses(folder))


@catches(SUBJECT, "done % settings.log_every == 0", "index % settings.log_every == 0")
@catches(SUBJECT, " or done == settings.steps:", ":")
def test_logs_come_when_due_and_at_the_end_with_the_rate(tmp_path):
    _, lines = train(tmp_path)
    assert [line["step"] for line in lines] == [3, 6, 9, 10]
    assert {line["learning_rate"] for line in lines} == {0.1}


@catches(SUBJECT, "settings.warmup_steps > settings.steps", "settings.warmup_steps >= settings.steps")
@catches(SUBJECT, "*(stage, settings.steps, settings.warmup_steps)", "*(stage, settings.warmup_steps, settings.steps)")
def test_a_warm_up_longer_than_the_training_is_told(tmp_path, caplog):
    """Short trials of a configuration are such trainings: they run."""
    for steps, warmup_steps in ((4, 4), (4, 5)):
        settings = SETTINGS.model_copy(update={"steps": steps, "warmup_steps": warmup_steps})
        _, lines = train(tmp_path, settings=settings)
        assert lines[-1]["learning_rate"] == 0.1 * steps / warmup_steps
    assert [record.getMessage() for record in caplog.records if record.name == SUBJECT] == [
        "toy: the rate never reaches learning_rate: expected warmup_steps of at most 4, as many as steps, got 5"
    ]


@pytest.mark.parametrize("at", [0, 3, 4, 8])
def test_broken_off_and_resumed_equals_uninterrupted(tmp_path, at):
    expected = train(tmp_path / "whole")

    def fail(step):
        if step.index == at:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "cut", body=fail)
    weight, lines = train(tmp_path / "cut", resume=True)
    assert torch.equal(weight, expected[0])
    assert lines == expected[1]


@catches(SUBJECT, "state.after_step(done, settings", "state.after_step(index, settings")
def test_ctrl_c_finishes_the_step_and_saves_it(tmp_path):
    expected = train(tmp_path / "whole")

    def interrupt(step):
        if step.index == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped after step 6 of 10"):
        train(tmp_path / "cut", body=interrupt)
    assert (tmp_path / "cut" / "checkpoints" / "step-000000006.pt").exists()
    weight, lines = train(tmp_path / "cut", resume=True)
    assert torch.equal(weight, expected[0])
    assert lines == expected[1]


@catches(SUBJECT, "accelerator.num_processes == 1", "accelerator.num_processes >= 1")
@catches(SUBJECT, "before is not None and before.read()", "self._told.read()")
def test_a_stop_that_another_process_was_asked_for_ends_this_one_after_the_next_step(tmp_path):
    done = []

    def reduce(value, how):
        return value + (how == "sum" and len(done) == 2)

    two, state = second_of_two(reduce), empty_state(tmp_path)
    log = MetricsLog(tmp_path / "m", enabled=False)

    def work():
        for step in training_steps("toy", SETTINGS, state, log, two, start=0, seed=7):
            done.append(step.index)

    with pytest.raises(Interrupted, match="stopped after step 3 of 10"):
        work()
    assert (tmp_path / "step-000000003.pt").exists()


@catches(SUBJECT, "agreed = any_process", "agreed = stop.requested = any_process")
def test_a_stop_that_comes_while_the_processes_meet_is_not_lost(tmp_path):
    def reduce(value, how):
        if reduced == []:
            os.kill(os.getpid(), signal.SIGINT)
        reduced.append(value.item())
        return value

    reduced = []
    two, log = second_of_two(reduce), MetricsLog(tmp_path / "m", enabled=False)
    with pytest.raises(Interrupted, match="stopped after step 3 of 10"):
        list(training_steps("toy", SETTINGS, empty_state(tmp_path), log, two, start=0, seed=7))
    assert reduced == [0, 1, 1]


@catches(SUBJECT, "if any_process.asked_by_now(stop.requested):", "if False:")
@catches(SUBJECT, "return own if self._alone else", "return False if self._alone else")
def test_a_stop_while_the_last_step_is_saved_ends_the_run_behind_it(tmp_path, monkeypatch):
    expected, save = train(tmp_path / "whole"), TrainState.save

    def asked_to_stop(self, step, **options):
        save(self, step, **options)
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainState, "save", asked_to_stop)
    with pytest.raises(Interrupted, match="stopped after step 10 of 10, which is saved"):
        train(tmp_path / "cut")
    weight, lines = train(tmp_path / "cut", resume=True, body=lambda step: pytest.fail("ran again"))
    assert torch.equal(weight, expected[0])
    assert lines == expected[1]


@catches(SUBJECT, "return own if self._alone else self._sum(own)", "return own if own else self._told")
def test_a_stop_of_another_process_in_the_last_step_ends_this_one_too(tmp_path):
    meetings = []

    def reduce(value, how):
        meetings.append(how)
        return value + (len(meetings) == 11)  # of ten steps, and the one behind them

    two, log = second_of_two(reduce), MetricsLog(tmp_path / "m", enabled=False)
    with pytest.raises(Interrupted, match="stopped after step 10 of 10"):
        list(training_steps("toy", SETTINGS, empty_state(tmp_path), log, two, start=0, seed=7))


@catches(SUBJECT, "value.to(accelerator.device)", "value")
def test_what_a_step_left_on_the_cpu_is_averaged_on_the_device(tmp_path):
    """As a group of GPUs alone wants it."""
    met = torch.device("meta")

    def reduce(value, how):
        if value.device != met:
            raise RuntimeError(f"No backend type associated with device type {value.device.type}")
        return torch.tensor({"mean": 1.5, "sum": 0.0}[how])

    log = MetricsLog(tmp_path / "metrics.jsonl")
    two, state = second_of_two(reduce, met), empty_state(tmp_path)
    for step in training_steps("toy", SETTINGS, state, log, two, start=0, seed=7):
        step.log.update(loss=torch.ones((), device=met), revived=torch.tensor(3.0))
    assert [(line["loss"], line["revived"]) for line in read_metrics(log.path)] == [(1.5, 1.5)] * 4


@catches(SUBJECT, "                state.losses.settle()\n", "")
def test_nothing_is_logged_of_a_step_whose_loss_is_not_finite(tmp_path):
    def tell(losses, step):
        losses.check({"loss": torch.tensor(float("nan") if step == 2 else 1.0)}, step, {"x": torch.ones(1)})

    with pytest.raises(NonFiniteLossError, match="step 2: loss term loss is nan"):
        train(tmp_path, tell=tell)
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_finished_training_runs_no_step_when_resumed(tmp_path):
    expected = train(tmp_path)
    again = train(tmp_path, resume=True, body=lambda step: pytest.fail("ran again"))
    assert torch.equal(again[0], expected[0])
    assert again[1] == expected[1]


@pytest.mark.parametrize(("processes", "accumulation"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_micro_batches_of_all_processes_are_the_global_batch_in_order(processes, accumulation):
    batch = torch.arange(12)
    ranks = [SimpleNamespace(num_processes=processes, process_index=rank) for rank in range(processes)]
    parts = [part for rank in ranks for part in own_micro_batches(batch, accumulation, rank)]
    assert len(parts) == processes * accumulation
    assert torch.equal(torch.cat(parts), batch)


@catches(SUBJECT, "if len(batch) % parts:", "if len(batch) % accelerator.num_processes:")
def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="expected a multiple of 2 processes x 3 micro-batches, got 8"):
        own_micro_batches(torch.arange(8), 3, SimpleNamespace(num_processes=2, process_index=0))


@pytest.mark.parametrize("text", ["no", '"no"', "false", "bf16"])
def test_no_mixed_precision_may_be_written_as_it_reads(tmp_path, text):
    (tmp_path / "c.yaml").write_text("steps: 1\nbatch_size: 1\n")
    config = load_config(TrainConfig, tmp_path / "c.yaml", (f"mixed_precision={text}",))
    assert config.mixed_precision == ("bf16" if text == "bf16" else "no")


@catches(SUBJECT, "beside=settings.async_checkpoints)", "beside=False)")
def test_checkpoints_are_written_beside_where_the_settings_say_so(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(TrainState, "save", lambda self, step, *, beside: asked.append((step, beside)))
    for beside in (False, True):
        train(tmp_path, settings=SETTINGS.model_copy(update={"async_checkpoints": beside}))
    assert asked == [(step, beside) for beside in (False, True) for step in (4, 8, 10)]


@catches(SUBJECT, "(done % settings.checkpoint_every == 0", "(done % settings.log_every == 0")
@catches(SUBJECT, "% settings.checkpoint_every == 0 or done == settings.steps)", "% settings.checkpoint_every == 0)")
@catches(SUBJECT, "*step.pictures, done)", "*step.pictures, index)")
def test_trackers_see_pictures_at_checkpoints_and_at_the_end(tmp_path, monkeypatch):
    shown = pictures_shown(monkeypatch)

    def leave(step):
        assert step.shown == (step.index + 1 in (4, 8, 10))
        step.pictures = torch.full((1, 1, 1, 1), -1.0), torch.ones(1, 1, 1, 1)

    train(tmp_path, body=leave, settings=SETTINGS.model_copy(update={"track": ("tensorboard",)}))
    assert [(step, pairs.tolist()) for step, pairs in shown] == [(step, [[[[0], [255]]]]) for step in (4, 8, 10)]


@catches(SUBJECT, "bool(settings.track) and (", "(")
def test_without_trackers_no_pictures_are_asked_for(tmp_path):
    train(tmp_path, body=lambda step: pytest.fail("asked for") if step.shown else None)
