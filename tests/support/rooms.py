"""Which files of tests go to one worker together, and what all workers of a run share.

A file stays together, as with `--dist loadfile`. Files that only one at a time may use what they share, or that would
start the same expensive thing once more, are one room.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

INTEGRATION = "tests/integration/"
ROOMS = {
    # One control plane with the chart, and another one that is audited.
    f"{INTEGRATION}chart/": "chart",
    # A laptop without an operator; the operators that tests start want the same Lease.
    f"{INTEGRATION}election/": "election",
    # A node. On the control plane that all share there is none: Jobs would run, end and be removed under others' hands.
    f"{INTEGRATION}node/": "node",
    # A fake node, and an operator of its own.
    f"{INTEGRATION}operator/test_autoscaling.py": "autoscaling",
    # A whole laptop, whose operator is killed.
    f"{INTEGRATION}operator/": "operator",
}
LONG = ("install", "election", "laptop", "operator", "node", "chart")
"""Folders that begin first, else one of them ends alone."""


def room(nodeid: str) -> str:
    """Give the room of a test: of what is said of files and folders, the first that fits; else its file.

    >>> room("tests/integration/chart/test_rights.py::test_read"), room("tests/integration/api/test_objects.py::test_a")
    ('chart', 'tests/integration/api/test_objects.py')
    """
    file = nodeid.partition("::")[0]
    return next((name for place, name in ROOMS.items() if file.startswith(place)), file)


def begins(item: pytest.Item) -> int:
    """Rank a test by when it shall begin."""
    folder = item.path.parent.name
    return LONG.index(folder) if folder in LONG else len(LONG)


class RoomScheduling(LoadFileScheduling):
    """Sends a room to the next worker that is free, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return room(nodeid)


class Keeper:
    """Starts what workers ask for by name, each thing once, and ends it with the run; lives in the workers' parent."""

    def __init__(self, folder: Path, things: dict[str, Callable[[], AbstractContextManager[Any]]]) -> None:
        self.address = str(folder / "keeper")
        self._things = things
        self._listener = Listener(self.address, "AF_UNIX")
        # One thread, alive until the end: programs that it starts end with it.
        self._starter = ThreadPoolExecutor(1)
        self._running = ExitStack()
        self._given: dict[str, Future[Any]] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            name = connection.recv()
            if name not in self._given:
                self._given[name] = self._starter.submit(self._start, name)
            self._given[name].add_done_callback(lambda done, to=connection: _answer(to, done))

    def _start(self, name: str) -> Any:
        return self._running.enter_context(self._things[name]())

    def close(self) -> None:
        """End everything."""
        self._listener.close()
        self._starter.submit(self._running.close).result()
        self._starter.shutdown()


def _answer(connection: Connection, done: "Future[Any]") -> None:
    with connection:
        connection.send(done.exception() or done.result())


def ask(address: str, name: str) -> Any:
    """Give what the keeper at an address has, or starts now, by a name.

    Raises:
        Exception: What kept it from starting.
    """
    with Client(address, "AF_UNIX") as connection:
        connection.send(name)
        answer = connection.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer
