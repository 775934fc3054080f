"""Progress on a terminal and in a file."""

import io

from typing_extensions import override

from kingmaker_laptop.progress import Progress


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_rewritten() -> None:
    stream = Terminal()
    with Progress(stream, "build") as progress:
        progress.show("1 of 2")
        progress.show("2 of 2")
    assert "build: 1 of 2, 0 s\r\x1b[2Kbuild: 2 of 2, 0 s" in stream.getvalue()
    assert stream.getvalue().endswith("build: 2 of 2, 0 s\n\x1b[?25h")


def test_a_file_gets_the_first_line_and_the_last() -> None:
    stream = io.StringIO()
    with Progress(stream, "build") as progress:
        progress.show("1 of 3")
        progress.show("2 of 3")
        progress.finish("done")
    assert stream.getvalue().splitlines() == ["build: 1 of 3, 0 s", "build: done, 0 s"]


def test_a_line_never_breaks() -> None:
    stream = Terminal()
    with Progress(stream, "build") as progress:
        progress.show("x" * 200)
    assert "x" * (79 - len("build: ")) in stream.getvalue()
    assert "x" * (80 - len("build: ")) not in stream.getvalue()
