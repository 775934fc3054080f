"""Drive the command `kingmaker` as a person would, and look at the processes that it leaves."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from support.controlplane import KINGMAKER

T = TypeVar("T")


@dataclass(frozen=True)
class Laptop:
    """One `--dir`, with the parts that its tests leave out."""

    folder: Path
    without: str = "crds,operator"

    def up_command(self, *flags: str) -> list[str]:
        return [*KINGMAKER, "up", "--no-fsync", "--dir", str(self.folder), "--without", self.without, *flags]

    def up(self, *flags: str) -> "subprocess.CompletedProcess[str]":
        return run(self.up_command(*flags))

    def down(self) -> "subprocess.CompletedProcess[str]":
        return run([*KINGMAKER, "down", "--dir", str(self.folder)])

    def kubectl(self, *arguments: str) -> str:
        """Give kubectl's stdout; a failure raises with what it said."""
        result = run([*KINGMAKER, "kubectl", "--dir", str(self.folder), "--", *arguments])
        assert result.returncode == 0, result.stderr
        return result.stdout

    def pid(self, program: str) -> int:
        """Give the process id of a running program."""
        return json.loads((self.folder / "processes" / f"{program}.json").read_text())["pid"]

    def kill(self, program: str) -> int:
        """Kill a program the hard way; gives the process id it had."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGKILL)
        return pid

    def run_pod(self, name: str) -> int:
        """Run a pod that sleeps; gives the process id of its container once it runs."""
        self.kubectl("run", name, "--image=none", "--restart=Never", "--command", "--", "sleep", "86400")
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
        uid = self.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.uid}")
        return wait_for(lambda: next((pid for pid, told in self.processes() if uid in told and _is_sleep(pid)), None))

    def processes(self) -> list[tuple[int, str]]:
        """Find every process that has to do with the folder: named in its command, its variables or where it works."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                told = _told(entry)
                if str(self.folder) in told:
                    found.append((int(entry.name), told))
        return found


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def wait_for(condition: Callable[[], T | None], seconds: float = 30) -> T:
    """Give the condition's first answer that is neither None nor False."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def _told(entry: Path) -> str:
    try:
        words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        if not words:
            return ""
        return words.replace(b"\0", b" ").decode(errors="replace") + " " + str((entry / "cwd").readlink())
    except OSError:
        return ""


def _is_sleep(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
    except OSError:
        return False
