"""What a person sees: lines that stay, and on a terminal one line at the bottom that is rewritten."""

import os
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

WIDTH: Final = 80

_BOLD: Final = "1"
_DIM: Final = "2"
_RED: Final = "31"
_GREEN: Final = "32"
_INDENT: Final = " " * 9


class Screen:
    """Writes to one stream. Colours and the rewritten line are for terminals only; NO_COLOR switches colours off.

    Args:
        stream: Usually stdout.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._has_colour = self._is_terminal and not os.environ.get("NO_COLOR")
        self._has_live_line = False

    def heading(self, text: str) -> None:
        """Begin a step."""
        self._write("")
        self._write(self._paint(text[:WIDTH], _BOLD))

    def note(self, text: str) -> None:
        """Explain, wrapped."""
        for line in textwrap.wrap(text, WIDTH - 2):
            self._write("  " + self._paint(line, _DIM))

    def event(self, seconds: float, text: str, *, good: bool | None = None) -> None:
        """Show what happened, `seconds` after the beginning; `good` colours it."""
        first, *rest = textwrap.wrap(text, WIDTH - len(_INDENT), break_on_hyphens=False) or [""]
        colour = {True: _GREEN, False: _RED, None: ""}[good]
        self._write(f"{seconds:6.1f}s  " + self._paint(first, colour))
        for line in rest:
            self._write(_INDENT + self._paint(line, colour))

    def evidence(self, text: str) -> None:
        """Show what the event above rests on."""
        for line in textwrap.wrap(text, WIDTH - len(_INDENT) - 2, break_on_hyphens=False):
            self._write(f"{_INDENT}  {self._paint(line, _DIM)}")

    def plain(self, text: str) -> None:
        """Write lines as they are."""
        for line in text.rstrip().splitlines():
            self._write(line)

    def table(self, text: str) -> None:
        """Write a table of somebody else's: cut at the terminal's width, since wrapped rows can't be read."""
        width = shutil.get_terminal_size((WIDTH, 24)).columns if self._is_terminal else None
        for line in text.rstrip().splitlines():
            self._write(line[:width])

    def live(self, text: str) -> None:
        """Rewrite the line at the bottom; nothing where there is no terminal."""
        if self._is_terminal:
            self._stream.write(f"\r{self._paint(text[: WIDTH - 1], _DIM)}\x1b[K")
            self._stream.flush()
            self._has_live_line = True

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Let somebody else write to the terminal meanwhile."""
        self._clear()
        yield

    def _write(self, line: str) -> None:
        self._clear()
        self._stream.write(line.rstrip() + "\n")
        self._stream.flush()

    def _clear(self) -> None:
        if self._has_live_line:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._has_live_line = False

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._has_colour and code and text else text
