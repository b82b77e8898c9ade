"""What every fuzzer asks: how many cases, and an error that is of the right kind, one short line, and there in time."""

import gc
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

LONGEST_MESSAGE = 500


def many() -> bool:
    """Whether the long random run is asked for (`make nightly`); known when pytest is configured."""
    return settings.get_current_profile_name() == "nightly"


def cases(number: int, *, at_night: int = 10_000) -> settings:
    """Settings of a fuzzer: ``number`` cases in the normal suite, more at night."""
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=at_night if many() else number, suppress_health_check=quiet)


@contextmanager
def succeeds_or_is_told(*kinds: type[Exception], mentions: str = "", seconds: float = 1.0) -> Iterator[None]:
    """The body ends well, or with an error of ``kinds`` in one short line that mentions something, within seconds.

    The seconds are of this process, so that a busy machine is no failure; what else it holds is kept from being looked
    through for garbage meanwhile. A hang is ended after twenty times as many.
    """

    def give_up(*_: object) -> None:
        raise TimeoutError(f"still running after {20 * seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)
    gc.freeze()
    begin = time.process_time()
    try:
        yield
    except kinds as error:
        check_told(error, mentions=mentions)
    finally:
        took = time.process_time() - begin
        gc.unfreeze()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert took < seconds, f"took {took:.2f} s"


def check_told(error: BaseException, *, mentions: str = "") -> None:
    """The error's message is one line of printable characters, short, and mentions something."""
    message = str(error)
    assert message, "no message"
    assert message.isprintable(), f"not one printable line: {message!r}"
    assert len(message) < LONGEST_MESSAGE, f"{len(message)} characters: {message}"
    assert mentions in message, f"{mentions!r} is not in: {message}"
