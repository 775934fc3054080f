"""One process per folder: a lock that ends with its holder, however that ends."""

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any


def take_lock(path: Path) -> int:
    """Hold a lock until the process ends, or the returned descriptor is closed.

    Raises:
        BlockingIOError: Another process holds it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.ExitStack() as on_error:
        on_error.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        on_error.pop_all()
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        descriptor = take_lock(path)
    except BlockingIOError:
        return True
    os.close(descriptor)
    return False


def write_pidfile(path: Path, pidfile: dict[str, Any]) -> None:
    """Leave word for others: complete or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(pidfile))
    temporary.replace(path)


def read_pidfile(path: Path) -> dict[str, Any] | None:
    """Read what a process left; None when there is nothing (whole)."""
    try:
        pidfile: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pidfile


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the id, that names it for ever. None when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None
