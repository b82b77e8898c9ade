"""The first signal asks, the second ends, and what handled signals before does so again."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from _support.mutants import catches
from vistok.workbench.training.signals import StopSignal

SUBJECT = "vistok.workbench.training.signals"


@pytest.fixture(autouse=True)
def handlers():
    """What a test leaves handled does not reach the next one."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@catches(SUBJECT, "        self._restore()\n\n    def _ask", "        pass\n\n    def _ask")
def test_signals_are_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@catches(SUBJECT, 'interrupt again to stop at once")\n        self._restore()', 'interrupt again to stop at once")')
def test_the_first_signal_asks_and_the_second_stops_at_once(caplog):
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert caplog.messages == ["stopping after this step; interrupt again to stop at once"]


@catches(SUBJECT, "except ValueError:", "except RuntimeError:")
def test_beside_the_main_thread_signals_stay_as_they_are():
    def work():
        with StopSignal() as stop:
            return stop.requested, signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(work).result() == (False, before)
