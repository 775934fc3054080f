"""Environments of programs that are measured beside ours: their own, from a lock, nothing resolved."""

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.common.progress import say
from kingmaker_laptop.locks import locked


class EnvironmentFailedError(Exception):
    """A lock could not be installed; the message has pip's own words."""


def environment(name: str, lock: Path, folder: Path) -> Path:
    """Give the folder of an environment's programs, installed below `folder` the first time, which takes minutes.

    Args:
        name: What the environment is called.
        lock: Requirements with hashes; another lock is another environment.
        folder: Where environments are kept.

    Raises:
        EnvironmentFailedError: It could not be installed.
    """
    made = folder / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    programs, stamp = made / "bin", made / ".installed"
    if stamp.exists():
        return programs
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailedError(str(error)) from error
    with locked(folder / f"{name}.lock"):
        if stamp.exists():
            return programs
        say(f"installing {name} into {made}, once")
        _run([sys.executable, "-m", "venv", "--clear", str(made)])
        pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)])
        stamp.touch()
    return programs


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(f"{' '.join(command)}: {done.stderr[-3000:]}")
