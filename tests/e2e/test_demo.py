"""`kingmaker demo` as a person runs it: all steps, no failed request, no process left; also when it is interrupted."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-c", "import sys; from kingmaker.cli import main; sys.exit(main())", "demo")
"""`kingmaker demo` of this very checkout."""


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have to do with the folder, by argument, working directory or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command + place + environment and int(process.name) != os.getpid():
            found.append(f"{process.name} {command}")
    return found


def gone(folder: Path, *, seconds: float = 15.0) -> list[str]:
    """Give the processes that are left after a moment of grace for those that are just ending."""
    end = time.monotonic() + seconds
    while (left := processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.mark.timeout(420)
def test_every_step_is_reached_and_no_request_fails(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run([*COMMAND, "--dir", str(folder)], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    told = done.stdout
    assert "\x1b" not in told
    for action in (
        "Deploy screening-1",
        "Promote screening-2",
        "Rollback screening-hotfix",
        "SkipRetraining",
        "Retrain",
    ):
        assert action in told
    for winner, loser in (("screening-r1", "screening-2"), ("screening-r2", "screening-r1")):
        assert re.search(rf"Promote {winner} .*{winner} 95%, {loser} 5%", told.replace("\n" + " " * 9, " "))
    assert "ModelPerformanceDegraded=True" in told
    assert "Labels of the first 20 requests arrive now, and all of them count" in told
    assert re.search(r"labels posted late, 0 for no known request, 0 failed", told)
    summary = re.search(r"^([0-9,]+) requests, (\d+) failed, in (\d+) s$", told, re.MULTILINE)
    assert summary is not None, told[-3000:]
    assert int(summary[1].replace(",", "")) > 1000
    assert summary[2] == "0"
    assert int(summary[3]) < 300
    assert gone(folder) == []
    assert (folder / "logs").is_dir()


@pytest.mark.timeout(180)
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = subprocess.Popen(
        [*COMMAND, "--dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "Ready at" in line:
            break
    assert len(processes_of(folder)) > 5
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert gone(folder) == []


@pytest.mark.timeout(60)
def test_ctrl_c_while_it_comes_up_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo = subprocess.Popen(
        [*COMMAND, "--dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        end = time.monotonic() + 30
        while not list((folder / "processes").glob("*.json")) and time.monotonic() < end:
            time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=40)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 130
    assert gone(folder) == []
