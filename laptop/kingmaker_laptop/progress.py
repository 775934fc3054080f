"""Tell a waiting person how far something is: one line that is rewritten on a terminal, else a line now and then."""

import time
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

_QUIET_SECONDS: Final = 15.0
"""Pause between two lines of a log file; a terminal's line is rewritten each time."""


class Progress:
    """Progress of one piece of work on a stream, usually stderr. Use as a context manager: leaving ends the line.

    Args:
        stream: Where to write.
        label: What is worked at; every line begins with it.
    """

    def __init__(self, stream: TextIO, label: str) -> None:
        self._console = Console(file=stream, width=80, force_terminal=stream.isatty(), highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False) if stream.isatty() else None
        self._label = label
        self._began = time.monotonic()
        self._shown: float | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, text: str) -> None:
        """Show where the work is; seconds since the start are added."""
        tick = time.monotonic()
        if self._live or self._shown is None or tick - self._shown >= _QUIET_SECONDS:
            self._write(text, tick)

    def finish(self, text: str) -> None:
        """Show how it ended, however short ago the last line was."""
        self._write(text, time.monotonic())

    def _write(self, text: str, tick: float) -> None:
        self._shown = tick
        line = Text(f"{self._label}: {text}, {tick - self._began:.0f} s")
        if self._live is None:
            self._console.print(line)
            return
        line.truncate(79)
        self._live.start()
        self._live.update(line, refresh=True)
