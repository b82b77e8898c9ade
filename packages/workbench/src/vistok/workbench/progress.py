"""How far long work is: one tidy bar in a terminal, plain lines in a log, and when all of its stages will be done."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SURE = 0.1  # the share of a stage from which on its own pace says what is left of it
_TRUST = 0.02  # of all that was expected: what the first stages are weighed against
_BAR_SECONDS = 0.1
_LINE_SECONDS, _LINE_SHARE, _LONGEST_SILENCE = 15.0, 0.05, 600.0


class TimeLeft:
    """Stages that run one after another, and about how long the rest of them will take.

    The expectation holds for a machine of any speed: what the stages took so far, and how far the one is that runs,
    say how much faster or slower this one is. From a tenth of a stage on, its own pace counts alone for its rest.

    Args:
        expected: Seconds of each stage, in order; empty where nothing is known.
        clock: Seconds.

    Example:
        >>> now = iter([0.0, 20.0]).__next__
        >>> stages = TimeLeft({"train": 10.0, "sample": 30.0}, clock=now)
        >>> stages.begin("train")
        >>> stages.end()
        20.0
        >>> round(stages.seconds_left())
        58
    """

    def __init__(self, expected: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._left, self._clock = dict(expected), clock
        self._trust = _TRUST * sum(expected.values())
        self._done = self._spent = 0.0
        self._running: str | None = None
        self._began = self._earlier = 0.0
        self._share: float | None = None  # of the running stage; not known before it tells

    def begin(self, name: str) -> None:
        """A stage begins."""
        self._running, self._began = name, self._clock()
        self._share, self._earlier = None, 0.0

    def tell(self, share: float, earlier: float = 0.0) -> None:
        """So large a part of the running stage is done, ``earlier`` of it by an interrupted run."""
        self._share, self._earlier = share, earlier

    def skip(self, name: str) -> None:
        """A stage will not run."""
        self._left.pop(name, None)

    def end(self) -> float:
        """The running stage is done; its seconds."""
        took = self._clock() - self._began
        expected = self._left.pop(self._running or "", 0.0) * (1 - self._earlier)
        self._done += expected
        self._spent += took if expected else 0.0
        self._running = None
        return took

    def seconds_left(self) -> float | None:
        """Until the last stage is done; ``None`` where nothing can be said yet."""
        elapsed = self._clock() - self._began if self._running is not None else 0.0
        rest = 1 - self._earlier  # of the running stage, when this run began with it
        expected = self._left.get(self._running or "", 0.0) * rest
        done = 0.0 if self._share is None or not rest else (self._share - self._earlier) / rest
        known = self._done + expected * done + self._trust
        spent = self._spent + (elapsed if done and expected else 0.0) + self._trust
        pace = spent / known if known else 1.0
        later = pace * sum(seconds for name, seconds in self._left.items() if name != self._running)
        if self._running is None:
            return later
        if not done:
            return later + max(0.0, pace * expected - elapsed) if self._left else None
        sure = min(1.0, done / _SURE) if expected else 1.0
        return later + (1 - done) * ((1 - sure) * pace * expected + sure * elapsed / done)


class Progress:
    """Tells how far several stages are.

    In a terminal one bar of all of them stands under the lines that are written meanwhile, and each finished stage
    leaves a line. Elsewhere there are lines alone: at a stage's begin and end, and now and then within a long one.

    Args:
        left: What is known of their times.
        terminal: Whether there is one; by default, whether the standard error is one.
    """

    def __init__(self, left: TimeLeft, *, terminal: bool | None = None) -> None:
        self.left = left
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar: Any = None
        self._label, self._begin = "", time.monotonic()
        self._shown = self._shown_share = 0.0

    @property
    def passed(self) -> float:
        """Seconds since the first stage was waited for."""
        return time.monotonic() - self._begin

    @contextlib.contextmanager
    def stage(self, name: str, label: str = "", *, brief: bool = False) -> Iterator[None]:
        """The time of one stage, called so: loops within it (:class:`progress`) tell how far it is.

        A ``brief`` one leaves no lines at its begin and its end.
        """
        self._label = label or name
        self.left.begin(name)
        self._shown, self._shown_share = time.monotonic(), 0.0
        if self._terminal:
            self._draw("")
        elif not brief:
            logger.info("%s%s", self._label, _in_all(self.left.seconds_left()))
        _running.append(self)
        try:
            yield
        except BaseException:
            self.close()
            raise
        finally:
            _running.remove(self)
        took = self.left.end()
        self.close()
        if not brief:
            logger.info("%s: %s", self._label, duration(took) if self._terminal else f"done in {duration(took)}")

    def tell(self, done: int, total: int, *, initial: int, unit: str, notes: str) -> None:
        """So many units of the running stage are done."""
        self.left.tell(done / total, initial / total)
        self.refresh(f" {done}/{total} {unit}{notes}", done / total, last=done == total)

    def refresh(self, words: str = "", share: float = 0.0, *, last: bool = False) -> None:
        """Show the time that has passed, if it is time to."""
        now = time.monotonic()
        if self._terminal:
            if now - self._shown >= _BAR_SECONDS:
                self._shown = now
                self._draw(words)
        elif words and not last and _is_due(now - self._shown, share - self._shown_share):
            self._shown, self._shown_share = now, share
            logger.info("%s:%s%s", self._label, words, _in_all(self.left.seconds_left()))

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, words: str) -> None:
        left, passed = self.left.seconds_left(), self.passed
        parts = ["" if left is None else f" {duration(left)} left", _plain(words)]
        text = f"{self._label} {{percentage:3.0f}}%|{{bar:20}}|{','.join(filter(None, parts))}"
        if self._bar is None:
            self._bar = tqdm(total=1.0, leave=False, dynamic_ncols=True, miniters=0, mininterval=0.0, bar_format=text)
        self._bar.n = 0.0 if left is None else passed / max(passed + left, 1e-9)
        self._bar.bar_format = text
        self._bar.refresh()


_running: list[Progress] = []


class progress(Generic[T]):
    """Iterate, and tell how far it is: to the stages that run, or, outside of any, by a bar or by lines of its own.

    Nothing is told where the log takes no warnings (``--quiet``). In a program without a log, as in a notebook, it is
    tqdm's bar.

    Args:
        items: What is iterated over.
        what: What is done, in a word or two.
        unit: What the items are, such as ``steps``.
        total: How many there are, with those done earlier; by default the length of ``items``.
        initial: How many were done earlier.
        shown: ``False`` in the processes that do not speak.
        brief: It is a small part of a stage, such as the features of some images: it says nothing of how far that is.
    """

    def __init__(
        self,
        items: Iterable[T],
        what: str,
        *,
        unit: str,
        total: int | None = None,
        initial: int = 0,
        shown: bool = True,
        brief: bool = False,
    ) -> None:
        self._items, self._what, self._unit, self._initial, self._brief = items, what, unit, initial, brief
        self._total = len(items) if total is None else total  # type: ignore[arg-type]
        self._shown = shown and logger.isEnabledFor(logging.WARNING)
        self._notes = ""

    def note(self, values: Mapping[str, float]) -> None:
        """Numbers to be shown beside it from now on."""
        self._notes = "".join(f", {name} {value:.4g}" for name, value in values.items())

    def __iter__(self) -> Iterator[T]:
        whole = _running[-1] if _running else None
        if not self._shown:
            yield from self._items
        elif whole is not None:
            yield from self._within(whole, brief=self._brief)
        elif sys.stderr.isatty() or not logger.isEnabledFor(logging.INFO):
            yield from self._bar()
        else:
            alone = Progress(TimeLeft({}))
            with alone.stage(self._what, brief=self._brief):
                yield from self._within(alone, brief=False)

    def _within(self, whole: Progress, *, brief: bool) -> Iterator[T]:
        for done, item in enumerate(self._items, self._initial + 1):
            yield item
            if brief:
                whole.refresh()
            else:
                whole.tell(done, self._total, initial=self._initial, unit=self._unit, notes=self._notes)

    def _bar(self) -> Iterator[T]:
        with tqdm(
            total=self._total,
            initial=self._initial,
            desc=self._what,
            unit=f" {self._unit}",
            delay=1.0 if self._brief else 0.0,
            leave=not self._brief,
            dynamic_ncols=True,
        ) as bar:
            for item in self._items:
                yield item
                bar.set_postfix_str(self._notes.removeprefix(", "), refresh=False)
                bar.update()


def duration(seconds: float) -> str:
    """A time for people.

    Example:
        >>> duration(7.26), duration(75.2), duration(3 * 3600 + 120)
        ('7 s', '1:15 min', '3:02 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _is_due(silence: float, share: float) -> bool:
    """Whether a log is to have a line: a twentieth further, but not at every moment, nor never."""
    return silence >= _LONGEST_SILENCE or (silence >= _LINE_SECONDS and share >= _LINE_SHARE)


def _in_all(left: float | None) -> str:
    return f" (about {duration(left)} left in all)" if left is not None and left >= 1 else ""


def _plain(words: str) -> str:
    return words.replace("{", "{{").replace("}", "}}")
