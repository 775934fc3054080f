"""Keep one program running: start it, write down who it is, start it again with back-off when it ends, and end it."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from typing import Final

from kingmaker_laptop import processes
from kingmaker_laptop.components import Component
from kingmaker_laptop.home import Home

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a program that keeps ending is started again, unless the command line says otherwise."""
_STEADY_SECONDS: Final = 10.0
"""Who ran as long as this is started again without a pause that remembers earlier failures."""

_LARGEST_LOG_BYTES: Final = 64 * 1024 * 1024


class Supervised:
    """One program that shall run."""

    def __init__(self, component: Component, home: Home, *, longest_pause_seconds: float = LONGEST_PAUSE) -> None:
        self.component = component
        self.ended_with: int | None = None
        """Exit code of the last end, negative for a signal; None while the first process runs."""
        self._home = home
        self._longest_pause = longest_pause_seconds
        self._record = home.records / f"{component.name}.json"
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the program and go on keeping it running in the background."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=self.component.name)

    async def let_go(self) -> None:
        """Start the program no more when it ends."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def stop(self) -> None:
        """End the program: politely, after its grace period by force. Returns when it is gone."""
        await self.let_go()
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self.component.grace_seconds)
            except TimeoutError:
                logger.warning("%s did not end in %g s, killing it", self.component.name, self.component.grace_seconds)
                process.kill()
                await process.wait()
        self._record.unlink(missing_ok=True)

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            assert self._process is not None
            self.ended_with = await self._process.wait()
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            logger.warning("%s ended with %d, starting again in %g s", self.component.name, self.ended_with, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest_pause)
            await self._spawn()

    async def _spawn(self) -> None:
        log = self._home.log(self.component.name)
        with contextlib.suppress(FileNotFoundError):
            # Each cluster start has logs of its own, so that the last lines are never those of an earlier run.
            if self._process is None or log.stat().st_size > _LARGEST_LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
        # A program finds its cluster by its own arguments, never by what the person's shell points at.
        inherited = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.component.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**inherited, **self.component.environment},
                cwd=self._home.folder,
                # Ctrl-C in the terminal is for the supervisor, which ends all in order.
                start_new_session=True,
            )
        if record := processes.record_of(self._process.pid):
            processes.save(self._record, record)
        logger.info("%s started as process %d", self.component.name, self._process.pid)
