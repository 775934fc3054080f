"""End whatever this process waits for when its time is up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SOONEST_SECONDS = 0.001
"""A timer of zero would never ring."""


class TimeUp(BaseException):
    """The deadline passed. No Exception, which a library may answer: it must reach whoever set the time."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the main thread when the block takes longer.

    A server that sends one byte a second satisfies every timeout between bytes, and libraries wait in their own ways
    (name look-ups, retries, locks): an alarm interrupts all of them.

    Args:
        seconds: From now; 0 and below end at once.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, _SOONEST_SECONDS))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
