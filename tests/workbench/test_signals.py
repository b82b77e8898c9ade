"""The first signal asks, and what handled signals before does so again."""

import signal

from vistok.workbench.training.signals import StopSignal


def test_signals_are_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
