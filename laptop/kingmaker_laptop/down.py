"""End a cluster: exactly the processes that were started for it, and wait until they are gone."""

import os
import time
from typing import Final

from kingmaker_laptop import processes
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.fleet import sweep
from kingmaker_laptop.home import Home
from kingmaker_laptop.locks import try_lock
from kingmaker_laptop.supervisor import RECORD

GRACE_SECONDS: Final = 120.0
"""For the supervisor to end all programs, the node's pods included."""


def down(home: Home) -> bool:
    """End the cluster; its objects stay for the next start.

    Returns:
        Whether anything was running.

    Raises:
        LocalError: Another command is bringing the cluster up again.
    """
    if not home.folder.is_dir():
        return False
    owner = processes.load(home.records / f"{RECORD}.json")
    was_alive = owner is not None and owner.is_alive
    if owner is not None and was_alive:
        owner.stop(grace_seconds=GRACE_SECONDS)
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, home)
        # What a supervisor that was killed has left.
        left = sweep(home, end_pods=True)
        (home.records / f"{RECORD}.json").unlink(missing_ok=True)
        home.status.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return was_alive or bool(left)


def _take(descriptor: int, home: Home) -> None:
    end = time.monotonic() + 5
    while not try_lock(descriptor):
        if time.monotonic() > end:
            raise LocalError(f"another command is working on {home.folder}; try again when it is done")
        time.sleep(0.05)
