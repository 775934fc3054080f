"""End what still runs of a pod that nobody asks for any more."""

import asyncio

from kingmaker_laptop.node.podfolder import PodFolder
from kingmaker_laptop.node.process import Process, adopt
from kingmaker_laptop.node.stopping import Stopping
from kingmaker_laptop.node.volumes import remove_tree

_GRACE_SECONDS = 1.0


async def end_leftovers(folder: PodFolder) -> None:
    """End a deleted pod's processes and remove its folder."""
    for name in folder.containers():
        for attempt in folder.attempts(name):
            found = await adopt(folder.attempt(name, attempt))
            if isinstance(found, Process):
                await Stopping(found, _GRACE_SECONDS).task
                await found.exited
    await asyncio.to_thread(remove_tree, folder.path)
