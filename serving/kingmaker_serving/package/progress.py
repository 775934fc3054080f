"""How far long work is, for whoever waits for it: a line every few seconds, none of what is done sooner."""

import time
from collections.abc import Callable
from typing import Final, TextIO

_EVERY_SECONDS: Final = 5.0


class Lines:
    """Writes what is told to a stream, not more often than every five seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Take where to write, and a clock in seconds."""
        self._stream = stream
        self._clock = clock
        self._last = clock()

    def tell(self, words: str) -> None:
        """Write the words, unless something was written, or the work began, just now."""
        now = self._clock()
        if now - self._last >= _EVERY_SECONDS:
            self._last = now
            self._stream.write(f"{words}\n")
            self._stream.flush()
