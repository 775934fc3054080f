"""Exclude other processes by a lock on a file; the kernel frees it when its holder ends, however it ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.1


@contextlib.contextmanager
def locked(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock while the block runs; `waiting` is called again and again while somebody else has it."""
    descriptor = _open(path)
    try:
        while not try_lock(descriptor):
            waiting()
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def take_lock(path: Path) -> int:
    """Hold a lock until the process ends, or the returned descriptor is closed.

    Raises:
        BlockingIOError: Another process holds it.
    """
    descriptor = _open(path)
    if not try_lock(descriptor):
        os.close(descriptor)
        raise BlockingIOError(f"{path} is locked by another process")
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        descriptor = take_lock(path)
    except BlockingIOError:
        return True
    os.close(descriptor)
    return False


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file if it is free; it is held until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
