"""The shim is a program of its own: run it, look at what it leaves."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kingmaker_laptop.node.process import SHIM, Command, adopt, launch, read_exit
from kingmaker_laptop.node.states import Exited


def run_shim(folder: Path, *argv: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    command = {"argv": argv, "env": {"PATH": "/usr/bin:/bin", **(env or {})}, "cwd": str(folder), "paths": {}}
    (folder / "run.json").write_text(json.dumps(command))
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SHIM), str(folder)], capture_output=True, timeout=20, check=False
    )


def test_it_keeps_output_by_stream_and_the_exit_code(tmp_path: Path) -> None:
    assert run_shim(tmp_path, "sh", "-c", "echo out; echo err >&2; printf rest; exit 3").stdout == b"started"
    ended = read_exit(tmp_path)
    assert ended is not None
    assert (ended.code, ended.signal, ended.reason) == (3, 0, "Error")
    lines = sorted(line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines())
    assert lines == ["stderr F err", "stdout F out", "stdout F rest"]


def test_it_gives_the_environment_and_nothing_else(tmp_path: Path) -> None:
    run_shim(tmp_path, "/usr/bin/env", env={"A": "1"})
    shown = {line.split(" ", 3)[3] for line in (tmp_path / "log").read_text().splitlines()}
    assert shown == {"A=1", "PATH=/usr/bin:/bin"}


def test_it_says_why_a_command_cannot_run(tmp_path: Path) -> None:
    assert run_shim(tmp_path, "no-such-program").stdout == b"failed"
    ended = read_exit(tmp_path)
    assert ended is not None
    assert (ended.code, ended.reason) == (128, "StartError")
    assert "'no-such-program': No such file or directory (PATH is /usr/bin:/bin)" in ended.message


def test_long_lines_are_split_and_marked(tmp_path: Path) -> None:
    run_shim(tmp_path, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x")
    tags = [line.split(" ", 3)[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert tags == ["P", "P", "F"]


def test_logs_are_bounded(tmp_path: Path) -> None:
    run_shim(tmp_path, "sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 30000000")
    sizes = [(tmp_path / name).stat().st_size for name in ("log", "log.1")]
    assert all(0 < size <= 10 * 1024 * 1024 for size in sizes)


async def test_a_run_that_was_given_up_never_starts(tmp_path: Path) -> None:
    given_up = await adopt(tmp_path)
    assert isinstance(given_up, Exited)
    assert given_up.reason == "ContainerStatusUnknown"
    assert run_shim(tmp_path, "touch", str(tmp_path / "ran")).returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("ask", ["terminate", "kill"])
async def test_a_run_ends_when_asked_to(tmp_path: Path, ask: str) -> None:
    process = await launch(tmp_path, Command(("sleep", "300"), {"PATH": "/usr/bin:/bin"}, str(tmp_path), {}))
    assert process.running is not None
    getattr(process, ask)()
    number = signal.SIGTERM if ask == "terminate" else signal.SIGKILL
    ended = await process.exited
    assert (ended.code, ended.signal) == (128 + number, number)
