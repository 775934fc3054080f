"""What a person sees of the demo: lines that stay, and on a terminal one line at the bottom that is rewritten."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

WIDTH: Final = 80


class Screen:
    """Writes to one stream. Colours and the rewritten line are for terminals only; NO_COLOR switches colours off.

    Args:
        stream: Usually stdout.
    """

    def __init__(self, stream: TextIO) -> None:
        terminal = stream.isatty()
        colours: Literal["standard"] | None = "standard" if terminal else None
        self._console = Console(
            file=stream, width=WIDTH, force_terminal=terminal, color_system=colours, highlight=False, soft_wrap=True
        )
        self._live: Live | None = None

    def heading(self, text: str) -> None:
        """Begin a step."""
        self._console.print()
        self._console.print(Text(text[:WIDTH], "bold"))

    def note(self, text: str) -> None:
        """Explain, wrapped."""
        self._wrapped(text, "dim", indent=2)

    def event(self, seconds: float, text: str, *, good: bool | None = None) -> None:
        """Show what happened, `seconds` after the beginning; `good` colours it."""
        self._wrapped(text, {True: "green", False: "red", None: ""}[good], indent=9, first=f"{seconds:6.1f}s  ")

    def evidence(self, text: str) -> None:
        """Show what the event above rests on."""
        self._wrapped(text, "dim", indent=11)

    def plain(self, text: str) -> None:
        """Write lines as they are."""
        for line in text.rstrip().splitlines():
            self._console.print(Text(line.rstrip()))

    def table(self, text: str) -> None:
        """Write a table of somebody else's: cut at the terminal's width, since wrapped rows can't be read."""
        width = shutil.get_terminal_size((WIDTH, 24)).columns if self._console.is_terminal else None
        for line in text.rstrip().splitlines():
            self._console.print(Text(line[:width]))

    def live(self, text: str) -> None:
        """Rewrite the line at the bottom; nothing where there is no terminal."""
        if not self._console.is_terminal:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text[: WIDTH - 1], "dim"), refresh=True)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Let somebody else write to the terminal meanwhile."""
        self.close()
        yield

    def close(self) -> None:
        """Take the line at the bottom away, and give the terminal back as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _wrapped(self, text: str, style: str, *, indent: int, first: str = "") -> None:
        lead = first or " " * indent
        for line in Text(text, style).wrap(self._console, WIDTH - indent):
            line.rstrip()
            self._console.print(Text.assemble(lead, line))
            lead = " " * indent
