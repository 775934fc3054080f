"""Tell a waiting person how far something is: one line that is rewritten on a terminal, else a line now and then."""

import time
from typing import Final, TextIO

_QUIET_SECONDS: Final = 15.0
"""Pause between two lines of a log file; a terminal's line is rewritten each time."""

_TERMINAL_COLUMNS: Final = 79


class Progress:
    """Progress of one piece of work on a stream, usually stderr. Use as a context manager: leaving ends the line."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._live = stream.isatty()
        self._began = time.monotonic()
        self._shown = 0.0
        self._shown_any = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live and self._shown_any:
            self._stream.write("\n")
            self._stream.flush()

    def show(self, text: str) -> None:
        """Show where the work is; seconds since the start are added."""
        tick = time.monotonic()
        if not self._live and self._shown_any and tick - self._shown < _QUIET_SECONDS:
            return
        self._write(text)

    def finish(self, text: str) -> None:
        """Show how it ended, however short ago the last line was."""
        self._write(text)

    def _write(self, text: str) -> None:
        tick = time.monotonic()
        self._shown, self._shown_any = tick, True
        line = f"{self._label}: {text}, {tick - self._began:.0f} s"
        # Erase to the end of the line: the new text may be shorter.
        self._stream.write(f"\r{line[:_TERMINAL_COLUMNS]}\x1b[K" if self._live else f"{line}\n")
        self._stream.flush()
