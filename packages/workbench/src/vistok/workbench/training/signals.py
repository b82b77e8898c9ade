"""Ctrl-C, SIGTERM, a terminal that is closed: a training ends after the current step, with all of it saved."""

import logging
import signal
from types import FrameType, TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

_KILLING = (signal.SIGINT, signal.SIGTERM)  # a second one does
_HANGUP = getattr(signal, "SIGHUP", None)  # of a terminal that is closed: from its shell and from the system


class Interrupted(RuntimeError):
    """The run was asked to stop; everything up to the named step is saved."""

    @classmethod
    def after(cls, step: int, steps: int) -> Self:
        """That step of so many."""
        return cls(f"stopped after step {step} of {steps}, which is saved; --resume continues from there")


class StopSignal:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request, answered after the current step.

    A second Ctrl-C or SIGTERM kills; a second SIGHUP does not. Under ``nohup`` SIGHUP stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        heard = [*_KILLING]
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            heard.append(_HANGUP)
        try:
            for number in heard:
                self._previous[number] = signal.signal(number, self._ask)
        except ValueError:  # not the main thread: signals stay as they are
            self._previous.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore(*self._previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            logger.warning("stopping after this step; interrupt again to stop at once")
        self.requested = True
        self._restore(*_KILLING)

    def _restore(self, *numbers: int) -> None:
        for number in self._previous.keys() & numbers:
            signal.signal(number, self._previous.pop(number))
