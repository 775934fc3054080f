"""Work that needs the processor, on a bounded number of threads, with a bounded queue and a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import Stop

T = TypeVar("T")


class Runner:
    """A few workers and a queue. What does not fit is refused at once: waiting longer would help nobody."""

    def __init__(self, *, workers: int, queue: int) -> None:
        """Start no thread yet.

        Args:
            workers: Runs at the same time.
            queue: Runs that may wait.
        """
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="run")
        self.workers = workers
        self.places = workers + queue
        self.taken = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Runs that wait for a worker."""
        return max(0, self.taken - self.workers)

    async def run(self, work: Callable[[Stop], T], *, seconds: float) -> T:
        """Run `work` on a worker.

        Args:
            work: Gets what will end it when time is up.
            seconds: Until then, waiting included.

        Raises:
            ServingError: OVERLOADED when the queue is full, DEADLINE, and whatever `work` raises.
        """
        if self.taken >= self.places:
            self.refused += 1
            message = f"{self.places} requests are being worked on or waiting, which is the limit; try again"
            raise ServingError(ErrorCode.OVERLOADED, message)
        loop = asyncio.get_running_loop()
        stop = Stop()
        timer = loop.call_later(seconds, stop.ask)
        self.taken += 1
        try:
            return await loop.run_in_executor(self._pool, work, stop)
        finally:
            # When the caller was cancelled the thread is still at it; it ends at its next operator.
            stop.ask()
            timer.cancel()
            self.taken -= 1

    def close(self) -> None:
        """Let running work end and take no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
