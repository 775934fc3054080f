"""End what a node that was killed has left running: its pods' processes and its Service proxy."""

import asyncio

from kingmaker_laptop.files import read_json
from kingmaker_laptop.home import Home
from kingmaker_laptop.node.podfolder import PodFolder
from kingmaker_laptop.node.process import Process, adopt
from kingmaker_laptop.node.stopping import Stopping
from kingmaker_laptop.processes import ProcessRecord, record_of
from kingmaker_laptop.proxy.pidfile import PIDFILE

_GRACE_SECONDS = 5.0


async def end_orphans(home: Home) -> None:
    """End every process of the node's folder. No node may be running; pods keep their folders, for the next start."""
    pods = home.node / "pods"
    folders = [PodFolder(path) for path in pods.iterdir() if path.is_dir()] if pods.is_dir() else []
    await asyncio.gather(*(_end_pod(folder) for folder in folders))
    proxy = _proxy(home)
    if proxy:
        await asyncio.to_thread(proxy.stop, grace_seconds=_GRACE_SECONDS)


async def _end_pod(folder: PodFolder) -> None:
    for name in folder.containers():
        for attempt in folder.attempts(name):
            found = await adopt(folder.attempt(name, attempt))
            if isinstance(found, Process):
                await Stopping(found, _GRACE_SECONDS).task
                await found.exited


def _proxy(home: Home) -> ProcessRecord | None:
    pidfile = read_json(home.node / PIDFILE)
    now = record_of(pidfile["pid"]) if pidfile else None
    return now if pidfile and now and now.began == pidfile["ticks"] else None
