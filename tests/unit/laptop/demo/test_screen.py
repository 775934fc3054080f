"""The screen on a terminal: colours, and the one line that is rewritten."""

import io

import pytest

from kingmaker_laptop.demo.screen import Screen


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    Screen(terminal).event(1.0, "promoted", good=True)
    assert "\x1b[32mpromoted\x1b[0m" in terminal.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    Screen(terminal).event(1.0, "promoted", good=True)
    assert "\x1b" not in terminal.getvalue()


def test_a_line_that_stays_replaces_the_live_one() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    screen.live("12 requests")
    screen.plain("done")
    screen.plain("more")
    assert terminal.getvalue().count("\r\x1b[K") == 1
    assert terminal.getvalue().endswith("\r\x1b[Kdone\nmore\n")
