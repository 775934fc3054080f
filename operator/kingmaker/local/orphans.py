"""End what a node that was killed has left running: its pods' processes and its Service proxy."""

import asyncio

from kingmaker.local.home import Home
from kingmaker.local.lockfile import read_card
from kingmaker.local.node.podfolder import PodFolder
from kingmaker.local.node.process import Process, adopt
from kingmaker.local.node.stopping import Stopping
from kingmaker.local.processes import ProcessRecord, record_of
from kingmaker.local.proxy.card import CARD

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
    card = read_card(home.node / CARD)
    now = record_of(card["pid"]) if card else None
    return now if card and now and now.began == card["ticks"] else None
