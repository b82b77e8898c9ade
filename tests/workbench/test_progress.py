"""What is left of long work, and how a terminal, a log and a silent program are told."""

import io
import logging

import pytest

from _support.mutants import catches
from vistok.workbench import progress as module
from vistok.workbench.progress import Progress, TimeLeft, duration, progress

SUBJECT = "vistok.workbench.progress"


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def times(expected):
    clock = Clock()
    return TimeLeft(expected, clock=clock), clock


@catches(SUBJECT, "spent / known if known", "known / spent if known")
@catches(SUBJECT, "self._done += expected", "self._done += 1.0")
def test_a_slow_machine_is_slow_for_all_stages_that_are_left():
    left, clock = times({"a": 10.0, "b": 20.0, "c": 70.0})
    assert left.seconds_left() == pytest.approx(100.0)
    left.begin("a")
    clock.now = 40.0
    assert left.end() == 40.0
    # Two seconds of the expected hundred weigh the first stage: 42 seconds for what was to take 12.
    assert left.seconds_left() == pytest.approx(90.0 * 42 / 12)


@catches(SUBJECT, "sure * elapsed / done", "sure * elapsed")
@catches(SUBJECT, "(1 - done) * ((1 - sure)", "1 * ((1 - sure)")
@catches(SUBJECT, "if name != self._running", "if True")
def test_the_running_stage_is_judged_by_its_own_pace_once_a_tenth_is_done():
    left, clock = times({"a": 10.0, "b": 10.0})
    left.begin("a")
    clock.now = 30.0
    left.tell(0.25)
    pace = (30.0 + 0.4) / (2.5 + 0.4)
    assert left.seconds_left() == pytest.approx(90.0 + 10.0 * pace)
    left.tell(0.05)
    pace = (30.0 + 0.4) / (0.5 + 0.4)
    own = 0.95 * (0.5 * 10.0 * pace + 0.5 * 600.0)
    assert left.seconds_left() == pytest.approx(own + 10.0 * pace)


@catches(SUBJECT, "rest = 1 - self._earlier  #", "rest = 1  #")
@catches(SUBJECT, "(self._share - self._earlier) / rest", "self._share")
def test_what_an_interrupted_run_did_took_no_time_of_this_one():
    left, clock = times({"a": 100.0})
    left.begin("a")
    clock.now = 10.0
    left.tell(0.9, earlier=0.8)
    assert left.seconds_left() == pytest.approx(10.0)
    clock.now = 20.0
    left.tell(1.0, earlier=0.8)
    assert left.seconds_left() == pytest.approx(0.0, abs=1e-9)
    assert left.end() == 20.0


@catches(SUBJECT, "max(0.0, pace * expected - elapsed)", "pace * expected")
def test_a_stage_that_tells_nothing_takes_what_was_expected_and_no_less_than_it_has():
    left, clock = times({"a": 10.0, "b": 5.0})
    left.begin("a")
    for now, seconds in ((4.0, 11.0), (30.0, 5.0)):
        clock.now = now
        assert left.seconds_left() == pytest.approx(seconds)


@catches(SUBJECT, "if self._left else None", "if True else None")
@catches(SUBJECT, "if expected else 1.0", "if expected else 0.0")
def test_without_any_expectation_the_pace_of_the_work_itself_counts():
    left, clock = times({})
    left.begin("a")
    assert left.seconds_left() is None
    clock.now = 3.0
    left.tell(0.01)
    assert left.seconds_left() == pytest.approx(297.0)


@catches(SUBJECT, "self._left.pop(name, None)", "pass")
def test_a_stage_that_is_skipped_takes_no_time():
    left, _ = times({"a": 10.0, "b": 5.0})
    left.skip("a")
    left.skip("never heard of")
    assert left.seconds_left() == pytest.approx(5.0)


@catches(SUBJECT, 'f"done in {duration(took)}"', 'f"done in {took}"')
@catches(SUBJECT, "silence >= _LINE_SECONDS and share >= _LINE_SHARE", "share >= _LINE_SHARE / 10")
def test_a_log_gets_plain_lines_and_few_of_them(monkeypatch, caplog, capsys):
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    whole = Progress(TimeLeft({"train": 1000.0, "report": 10.0}, clock=clock), terminal=False)
    with caplog.at_level(logging.INFO):
        with whole.stage("train", "[1/2] train"):
            steps = progress(range(1000), "train toy", unit="steps")
            for _ in steps:
                clock.now += 1.0
                steps.note({"loss": 0.5})
        with whole.stage("report", "[2/2] report"):
            clock.now += 3.0
    assert caplog.messages[0] == "[1/2] train (about 16:50 min left in all)"
    assert caplog.messages[1] == "[1/2] train: 50/1000 steps, loss 0.5 (about 16:00 min left in all)"
    assert caplog.messages[-3:] == [
        "[1/2] train: done in 16:40 min",
        "[2/2] report (about 10 s left in all)",
        "[2/2] report: done in 3 s",
    ]
    assert 20 <= len(caplog.messages) <= 24
    assert "\r" not in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@catches(SUBJECT, "            self._bar.close()\n            self._bar = None", "            self._bar.close()")
@catches(SUBJECT, "passed / max(passed + left, 1e-9)", "left / max(passed + left, 1e-9)")
def test_a_terminal_gets_one_bar_of_all_stages_which_goes_when_they_are_done(monkeypatch, caplog):
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr(module.sys, "stderr", terminal)
    monkeypatch.setattr(module.time, "monotonic", clock)
    whole = Progress(TimeLeft({"train": 30.0, "report": 10.0}, clock=clock))
    with caplog.at_level(logging.INFO):
        with whole.stage("train", "[1/2] train"):
            for _ in progress(range(10), "train {toy}", unit="steps"):
                clock.now += 3.0
        with whole.stage("report", "[2/2] report"):
            clock.now += 10.0
    shown = [line.strip() for line in terminal.getvalue().split("\r") if line.strip()]
    assert shown[0].startswith("[1/2] train   0%|")
    assert shown[0].endswith("| 40 s left")
    assert any(line.startswith("[1/2] train  38%|") and line.endswith("| 25 s left, 5/10 steps") for line in shown)
    assert shown[-1].startswith("[2/2] report  75%|")
    assert "\n" not in terminal.getvalue()
    assert caplog.messages == ["[1/2] train: 30 s", "[2/2] report: 10 s"]


@catches(SUBJECT, "shown and logger.isEnabledFor(logging.WARNING)", "shown")
def test_where_nothing_but_errors_is_logged_no_bar_is_drawn(monkeypatch, caplog):
    terminal = Terminal()
    monkeypatch.setattr(module.sys, "stderr", terminal)
    with caplog.at_level(logging.ERROR):
        assert list(progress([1, 2], "count", unit="items")) == [1, 2]
    assert terminal.getvalue() == ""
    assert list(progress([1, 2], "count", unit="items", shown=False)) == [1, 2]
    assert terminal.getvalue() == ""
    assert list(progress([1, 2], "count", unit="items")) == [1, 2]
    assert "count: 100%" in terminal.getvalue()


@catches(SUBJECT, "_running.remove(self)", "pass")
def test_a_stage_that_fails_is_left_and_work_after_it_speaks_for_itself(caplog):
    whole = Progress(TimeLeft({}), terminal=False)
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="no"):
        with whole.stage("train"):
            raise ValueError("no")
    assert caplog.messages == ["train"]
    with caplog.at_level(logging.INFO):
        assert list(progress([1], "alone", unit="items")) == [1]
    assert caplog.messages[1:] == ["alone", "alone: done in 0 s"]


@catches(SUBJECT, "whole % 60:02d} min", "whole % 60} min")
def test_times_are_told_to_the_second_the_minute_or_the_hour():
    assert [duration(seconds) for seconds in (0.4, 59.6, 61, 3599, 3600, 90061)] == [
        *("0 s", "1:00 min", "1:01 min", "59:59 min", "1:00 h", "25:01 h"),
    ]
