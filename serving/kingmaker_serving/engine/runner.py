"""When jobs run: on the event loop what takes microseconds, on a few threads what takes longer, never too many."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

from kingmaker_serving.engine.job import OUT_OF_TIME, Job
from kingmaker_serving.engine.pace import Pace
from kingmaker_serving.engine.together import Batch, Outcome, form_batch, run_batch, settle
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.models.session import ModelSession, Stop

logger = logging.getLogger(__name__)

QUICK_SECONDS: Final = 0.0005
"""A run expected to be over by then is not worth a thread: handing work over and back costs a tenth of that, and the
interpreter's lock more. Longer, and other connections would notice."""
_SOONEST_SECONDS: Final = 0.02
"""What is read later than this in a turn of the loop, after as many requests as there are places, is refused: it has
waited as long, and so would all that come after it. In time of the processor: a process that was kept from it has no
more to do than before. Some 500 requests of a small model are answered in that time: fewer clients, who wait for their
answers, never meet it."""
_SLOW_SECONDS: Final = 0.05
_SLOW_RUNS: Final = 3
"""So many runs on the loop in a row that took so long show that the model's time depends on more than rows: it gets
threads. One alone may have been the processor's, which others use as well."""


class Runner:
    """One model's runs. Requests that come at the same time run together where that is faster.

    Nothing waits for company: on the loop those run together that have come by the end of its turn, on threads those
    that waited while all threads were busy, or for `max_delay` where that is asked for.
    """

    def __init__(
        self,
        session: ModelSession,
        pace: Pace,
        watch: Watch,
        *,
        workers: int,
        queue: int,
        max_rows: int,
        max_delay: float,
    ) -> None:
        """Start no thread yet.

        Args:
            session: The model.
            pace: How long it takes.
            watch: Ends runs on the loop that take too long.
            workers: Threads that run at the same time.
            queue: Requests that may wait.
            max_rows: Rows that run together.
            max_delay: Seconds that a request may wait for others while a thread is free.
        """
        self._session = session
        self._pace = pace
        self._watch = watch
        self._workers = workers
        self.max_rows = max_rows if pace.is_batchable else 1
        self._max_delay = max_delay if pace.is_batchable else 0.0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="run")
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._is_due = False
        self._due_since = 0.0
        self._taken_in_turn = 0
        self._idle: asyncio.Event | None = None
        self._is_closed = False
        self._busy = 0
        self._slow = 0
        self._stop = Stop()
        self._running: dict[Stop, Batch] = {}
        self._when_cancelled = self._free
        self.is_quick = pace.first <= QUICK_SECONDS
        """Whether short runs take place on the loop."""
        self.on_run: Callable[[Sequence[Job]], None] | None = None
        """Hears of every run, once its jobs have their outcomes."""
        self.places = workers + queue
        self._no_place = f"{self.places} requests are being worked on or waiting, which is the limit"
        self.taken = 0
        self.refused = 0
        self.batches = 0
        self.batched = 0
        """Runs, and the requests in them."""

    @property
    def waiting(self) -> int:
        """Requests that wait for their run."""
        return len(self._waiting)

    def check(self) -> None:
        """Pass while there is room for a request. Asked before a body is read, so that a refusal costs little.

        Raises:
            ServingError: OVERLOADED.
        """
        if self.is_quick:
            is_full = self._is_due and self._taken_in_turn >= self.places
            if is_full and time.thread_time() - self._due_since > _SOONEST_SECONDS:
                self._refuse(f"requests are read that have waited for {_SOONEST_SECONDS * 1000:.0f} ms or more")
        elif self.taken >= self.places:
            self._refuse(self._no_place)

    def put(self, job: Job) -> None:
        """Take a job; it gets its outcome later.

        Raises:
            ServingError: OVERLOADED when there is no place, NOT_READY once it is closed.
        """
        if self._is_closed:
            raise ServingError(ErrorCode.NOT_READY, "this version is not served any more; ask again")
        self.check()
        if self.is_quick and (self.taken >= self.places or len(self._waiting) >= self.max_rows):
            # To run is the quickest way to have room; what takes long waits for a thread all the same.
            self._run_waiting()
            if self.taken >= self.places:
                self._refuse(self._no_place)
        self.taken += 1
        self._taken_in_turn += 1
        job.on_cancel = self._when_cancelled
        self._waiting.append(job)
        if not self._is_due:
            self._is_due = True
            self._taken_in_turn = 1
            self._due_since = time.thread_time()
            if self._max_delay and not self.is_quick:
                self._loop.call_later(self._max_delay, self._turn)
            else:
                self._loop.call_soon(self._turn)

    def _refuse(self, why: str) -> NoReturn:
        self.refused += 1
        raise ServingError(ErrorCode.OVERLOADED, f"{why}; try again")

    def _turn(self) -> None:
        """The turn of the loop is over: run, or hand over, what has come."""
        self._is_due = False
        self._run_waiting()

    def _run_waiting(self) -> None:
        while self._waiting:
            batch = form_batch(self._waiting, max_rows=self.max_rows)
            is_quick = self.is_quick and self._pace.seconds(batch.rows) <= QUICK_SECONDS
            if not is_quick and self._busy == self._workers:
                return
            for _ in batch.jobs:
                self._waiting.popleft()
            batch = self._still_wanted(batch)
            if not batch.jobs:
                continue
            self.batches += 1
            self.batched += len(batch.jobs)
            if is_quick:
                self._run_here(batch)
            else:
                self._run_apart(batch)

    def _still_wanted(self, batch: Batch) -> Batch:
        now = time.perf_counter()
        wanted = []
        for job in batch.jobs:
            if not job.is_over and job.deadline <= now:
                job.fail(OUT_OF_TIME)
            if job.is_over:
                self._leave(1)
            else:
                wanted.append(job)
        return batch if len(wanted) == len(batch.jobs) else Batch(wanted, sum(job.rows for job in wanted))

    def _run_here(self, batch: Batch) -> None:
        began = time.perf_counter()
        self._watch.begin(self._stop, batch.deadline)
        try:
            outcomes = run_batch(self._session, batch, self._stop)
        finally:
            self._watch.end()
        self._slow = self._slow + 1 if time.perf_counter() - began > _SLOW_SECONDS else 0
        if self._stop.is_asked or self._slow == _SLOW_RUNS:
            self._stop = Stop()
            self.is_quick = False
            logger.warning("runs took long on the event loop; from now on they get threads")
        self._leave(len(batch.jobs))
        self._settle(batch, outcomes)

    def _run_apart(self, batch: Batch) -> None:
        self._busy += 1
        stop = Stop()
        self._running[stop] = batch
        loop = self._loop
        # Each of them gives up at its own time; the run ends with the last.
        timers = [loop.call_later(max(0.0, job.deadline - time.perf_counter()), job.expire) for job in batch.jobs]
        timers.append(loop.call_later(max(0.0, batch.deadline - time.perf_counter()), stop.ask))

        def done(outcomes: list[Outcome]) -> None:
            self._busy -= 1
            del self._running[stop]
            self._leave(len(batch.jobs))
            for timer in timers:
                timer.cancel()
            self._settle(batch, outcomes)
            self._turn()

        def work() -> None:
            outcomes = run_batch(self._session, batch, stop)
            # A loop that is closed has nobody left who waits.
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, outcomes)

        self._pool.submit(work)

    def _settle(self, batch: Batch, outcomes: Sequence[Outcome]) -> None:
        settle(batch, outcomes, _log)
        if self.on_run is not None:
            try:
                self.on_run(batch.jobs)
            except Exception:
                logger.exception("a run was not copied by a bug")

    def _free(self, job: Job) -> None:
        """Give the place of a job whose client has gone to somebody else, at once: clients come and go in crowds."""
        try:
            self._waiting.remove(job)
        except ValueError:
            for stop, batch in self._running.items():
                # One that has begun ends with the last of its clients.
                if all(other.is_over for other in batch.jobs):
                    stop.ask()
        else:
            self._leave(1)

    async def idle(self) -> None:
        """Return once nothing waits or runs."""
        if self.taken:
            self._idle = asyncio.Event()
            await self._idle.wait()

    def _leave(self, jobs: int) -> None:
        self.taken -= jobs
        if not self.taken and self._idle is not None:
            self._idle.set()

    def abandon(self, error: ServingError) -> None:
        """Fail everything that waits or runs."""
        for job in [*self._waiting, *(job for batch in self._running.values() for job in batch.jobs)]:
            job.fail(error)

    def close(self) -> None:
        """End what runs and take no more."""
        self._is_closed = True
        for stop in list(self._running):
            stop.ask()
        # What has not begun ends at once, and gives its places back as all others do.
        self._pool.shutdown(wait=True)


def _log(error: BaseException) -> None:
    logger.error("an answer was lost by a bug", exc_info=error)
