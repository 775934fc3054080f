"""End one process: the preStop hook, SIGTERM, the rest of the grace period, SIGKILL."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kingmaker_laptop.node.process import Process

logger = logging.getLogger(__name__)

AFTER_HOOK_SECONDS: Final = 2.0
"""What is left for SIGTERM when the hook used up the grace period. Source: kubelet `minimumGracePeriodInSeconds`."""

_SHIM_SECONDS: Final = 5.0


class Stopping:
    """A process that is being ended.

    Args:
        process: The process.
        grace_seconds: From now until SIGKILL, the hook included.
        run_hook: The preStop hook.
    """

    def __init__(
        self, process: Process, grace_seconds: float, run_hook: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._kill_at = self._loop.time() + grace_seconds
        self._hurried = asyncio.Event()
        self.task = self._loop.create_task(self._run(run_hook))

    def hurry(self, grace_seconds: float) -> None:
        """Shorten what is left; a longer grace period changes nothing."""
        kill_at = self._loop.time() + grace_seconds
        if kill_at < self._kill_at:
            self._kill_at = kill_at
            self._hurried.set()

    async def _run(self, run_hook: Callable[[], Awaitable[None]] | None) -> None:
        if run_hook is not None:
            await self._run_hook(run_hook)
        self._process.terminate()
        await self._wait(self._process.exited)
        if self._process.is_running:
            self._process.kill()
            await asyncio.wait([self._process.exited], timeout=_SHIM_SECONDS)
        if self._process.is_running:
            logger.warning("shim does not answer; killing it", extra={"folder": str(self._process.folder)})
            self._process.kill_shim()

    async def _run_hook(self, run_hook: Callable[[], Awaitable[None]]) -> None:
        hook = asyncio.ensure_future(run_hook())
        both: list[asyncio.Future[Any]] = [hook, self._process.exited]
        either = self._loop.create_task(asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED))
        try:
            await self._wait(either)
        finally:
            hook.cancel()
            either.cancel()
            await asyncio.gather(hook, either, return_exceptions=True)
        self._kill_at = max(self._kill_at, self._loop.time() + AFTER_HOOK_SECONDS)

    async def _wait(self, future: "asyncio.Future[Any]") -> None:
        """Until the future is done or the grace period, which may be shortened meanwhile, is over."""
        while not future.done() and self._loop.time() < self._kill_at:
            self._hurried.clear()
            hurried = self._loop.create_task(self._hurried.wait())
            left = self._kill_at - self._loop.time()
            try:
                await asyncio.wait([future, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hurried.cancel()
