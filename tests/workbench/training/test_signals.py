"""The first signal asks, the second ends, and what handled signals before does so again."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from _support.mutants import catches
from vistok.workbench.training import signals
from vistok.workbench.training.signals import StopSignal

SUBJECT = "vistok.workbench.training.signals"


def hang_up(number, frame):
    raise ConnectionAbortedError


@pytest.fixture(autouse=True)
def handlers():
    """What a test leaves handled does not reach the next one, and no SIGHUP ends all tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, hang_up)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@catches(SUBJECT, "self._restore(*self._previous)", "pass")
def test_signals_are_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@catches(SUBJECT, "self._restore(*_KILLING)", "pass")
def test_the_first_signal_asks_and_the_second_stops_at_once(caplog):
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert caplog.messages == ["stopping after this step; interrupt again to stop at once"]


@catches(SUBJECT, "heard.append(_HANGUP)", "pass")
@catches(SUBJECT, "self._restore(*_KILLING)", "self._restore(*self._previous)")
@catches(SUBJECT, "if not self.requested:", "if True:")
def test_a_terminal_that_is_closed_asks_however_often_it_says_so(caplog):
    with StopSignal() as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(ConnectionAbortedError):
        os.kill(os.getpid(), signal.SIGHUP)
    assert caplog.messages == ["stopping after this step; interrupt again to stop at once"]


@catches(SUBJECT, "and signal.getsignal(_HANGUP) is not signal.SIG_IGN", "")
@catches(SUBJECT, "if _HANGUP is not None and", "if")
def test_what_ignores_closed_terminals_goes_on_ignoring_them_and_some_systems_know_none(monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.requested
    monkeypatch.setattr(signals, "_HANGUP", None)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested


@catches(SUBJECT, "except ValueError:", "except RuntimeError:")
def test_beside_the_main_thread_signals_stay_as_they_are():
    def work():
        with StopSignal() as stop:
            return stop.requested, signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(work).result() == (False, before)
