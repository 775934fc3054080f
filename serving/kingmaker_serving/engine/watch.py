"""Ends runs on the event loop that pass their deadline: no timer of the loop can ring while it runs a model."""

import threading
import time
from typing import Final

from kingmaker_serving.models.session import Stop

_LOOK_SECONDS: Final = 0.1


class Watch:
    """A thread that looks ten times a second whether a run has passed its deadline."""

    def __init__(self) -> None:
        """Start looking."""
        self._stop: Stop | None = None
        self._deadline = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def begin(self, stop: Stop, deadline: float) -> None:
        """Watch over a run; `deadline` in seconds of `time.perf_counter`."""
        # The deadline first: whoever sees the run must not see the deadline of the one before.
        self._deadline = deadline
        self._stop = stop

    def end(self) -> None:
        """The run is over."""
        self._stop = None

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            stop = self._stop
            if stop is not None and time.perf_counter() > self._deadline:
                stop.ask()
