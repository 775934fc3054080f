from datetime import UTC, datetime
from pathlib import Path

import pytest

from kingmaker_laptop.node.logs import LogOptions, last_output, stream_log

LINES = [
    b"2026-01-01T00:00:01.000000001Z stdout F one\n",
    b"2026-01-01T00:00:02.000000001Z stderr F two\n",
    b"2026-01-01T00:00:03.000000001Z stdout P thr\n",
    b"2026-01-01T00:00:03.000000001Z stdout F ee\n",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.1").write_bytes(LINES[0])
    (tmp_path / "log").write_bytes(b"".join(LINES[1:]))
    return tmp_path


async def read(folder: Path, options: LogOptions) -> bytes:
    return b"".join([piece async for piece in stream_log(folder, options, is_running=lambda: False)])


async def test_the_whole_log_with_its_rotated_part(folder: Path) -> None:
    assert await read(folder, LogOptions()) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(LogOptions(tail_lines=2), b"two\nthree\n", id="tail counts lines, not pieces"),
        pytest.param(LogOptions(tail_lines=0), b"", id="tail of nothing"),
        pytest.param(LogOptions(stream="stderr"), b"two\n", id="one stream"),
        pytest.param(LogOptions(limit_bytes=5), b"one\nt", id="bytes"),
        pytest.param(LogOptions(since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)), b"three\n", id="since"),
        pytest.param(LogOptions(is_following=True), b"one\ntwo\nthree\n", id="following an ended container ends"),
        pytest.param(
            LogOptions(tail_lines=1, has_timestamps=True, stream="stderr"),
            LINES[1].replace(b"stderr F ", b""),
            id="times",
        ),
    ],
)
async def test_options(folder: Path, options: LogOptions, expected: bytes) -> None:
    assert await read(folder, options) == expected


def test_the_last_output_stands_in_for_a_termination_message(tmp_path: Path) -> None:
    lines = [b"2026-01-01T00:00:01.000000001Z stdout F line %d\n" % number for number in range(200)]
    (tmp_path / "log").write_bytes(b"".join(lines))
    text = last_output(tmp_path)
    assert text.startswith("line 120")
    assert text.endswith("line 199")
