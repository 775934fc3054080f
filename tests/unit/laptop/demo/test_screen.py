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


def test_lines_that_stay_stand_above_the_live_one() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    screen.live("12 requests")
    screen.plain("done")
    assert terminal.getvalue().index("done\n") > terminal.getvalue().index("12 requests")
    assert "\r\x1b[2Kdone\n" in terminal.getvalue()
    assert terminal.getvalue().endswith("12 requests\x1b[0m")


def test_a_closed_screen_gives_the_cursor_back() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    screen.live("12 requests")
    screen.close()
    screen.close()
    assert terminal.getvalue().count("\x1b[?25h") == 1
    assert terminal.getvalue().endswith("\x1b[2K")
