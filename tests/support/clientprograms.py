"""Clients that others wrote, in their own languages: `tests/clients`. Each prints a line per check."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.serving.process import BenchError
from benchmarks.serving.programs import environment
from kingmaker_laptop.binary import cache_folder
from kingmaker_laptop.progress import Progress
from kingmaker_laptop.toolchain import find_toolchain

_FOLDER = Path(__file__).parents[1] / "clients"


def run_java(*arguments: str) -> dict[str, str]:
    """Run Java's client; gives what is wrong by check, empty where nothing is."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no java here; Debian has it as openjdk-17-jdk-headless")
    return _checks([java, str(_FOLDER / "Client.java"), *arguments])


def run_go(*arguments: str) -> dict[str, str]:
    """Run Go's client, likewise."""
    with Progress(sys.stderr, "go") as progress:
        toolchain = find_toolchain(cache_folder() / "toolchain", progress)
    return _checks([str(toolchain.go), "run", ".", *arguments], cwd=_FOLDER / "go", env=toolchain.environment)


def run_kserve(*arguments: str) -> dict[str, str]:
    """Run KServe's client, likewise; its packages are those of the benchmark's peer, installed once, minutes."""
    try:
        programs = environment("kserve", cache_folder() / "python")
    except BenchError as error:
        pytest.skip(f"KServe can't be installed: {str(error)[-300:]}")
    return _checks([str(programs / "python"), str(_FOLDER / "kserve_client.py"), *arguments])


def _checks(command: Sequence[str], **options: object) -> dict[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for line in done.stdout.splitlines():
        verdict, _, rest = line.partition(" ")
        name, _, why = rest.partition(": ")
        if verdict in {"ok", "no"}:
            found[name] = why if verdict == "no" else ""
    assert found, done.stderr[-3000:]
    return found
