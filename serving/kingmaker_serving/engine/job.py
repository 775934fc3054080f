"""One request on its way through a model."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kingmaker_serving.errors import ErrorCode, ServingError
from kingmaker_serving.labels.ids import NO_ID
from kingmaker_serving.protocol.values import InferenceRequest

Arrays = Mapping[str, np.ndarray]
OUT_OF_TIME = ServingError(ErrorCode.DEADLINE, "the model did not answer in time; send fewer rows, or allow more time")


class Run:
    """One run of the model for several requests: their rows one after another, shared by their jobs."""

    __slots__ = ("inputs", "noted", "outputs", "size")

    def __init__(self, inputs: Arrays, outputs: Arrays, size: int) -> None:
        """Take the arrays of all rows, and how many jobs there are."""
        self.inputs = inputs
        self.outputs = outputs
        self.size = size
        self.noted: list[Job] | None = []
        """Those that were answered and not counted yet; None once some were counted on their own."""


class Job:
    """A request that waits, runs, or has its outcome: `outputs` or `error`. Used from the event loop only."""

    __slots__ = (
        *("answers", "began", "bucket", "deadline", "decision", "error", "is_over", "made", "names", "_on_done"),
        *("on_cancel", "outputs", "request", "rows", "run", "seconds"),
    )

    def __init__(
        self,
        request: InferenceRequest,
        names: Sequence[str],
        *,
        decision: str,
        bucket: str = "",
        began: float,
        deadline: float,
        on_done: Callable[["Job"], None],
    ) -> None:
        """Take a request.

        Args:
            request: Fits the signature.
            names: Outputs to compute: those asked for, and those that are counted.
            decision: Label to count it under.
            bucket: Likewise; empty for none.
            began: When its first byte came, `time.perf_counter`.
            deadline: When nobody waits for it any more, likewise.
            on_done: Called once, with the outcome; not after `cancel`.
        """
        self.request = request
        self.names = names
        self.decision = decision
        self.bucket = bucket
        self.began = began
        self.deadline = deadline
        self._on_done = on_done
        self.on_cancel: Callable[[Job], None] = _nobody
        """Hears that nobody waits for it any more, so that its place and its run are free."""
        first = next(iter(request.inputs.values()), None)
        self.rows = len(first) if first is not None and first.ndim else 1
        self.outputs: Mapping[str, np.ndarray] = {}
        self.error: ServingError | None = None
        self.seconds = 0.0
        """What the model alone took: of a run of several requests, this one's share by rows."""
        self.run: Run | None = None
        """The run that it was part of; None when it ran alone."""
        self.is_over = False
        self.made = NO_ID
        """The request id, once there is an answer."""
        self.answers: list[str | int | float | bool | None] = []
        """The label output, one value per row; empty without a task."""

    @property
    def inputs(self) -> Mapping[str, np.ndarray]:
        """Arrays by input."""
        return self.request.inputs

    def succeed(self, outputs: Mapping[str, np.ndarray], seconds: float) -> None:
        """Take the answer."""
        if not self.is_over:
            self.outputs, self.seconds = outputs, seconds
            self._end()

    def fail(self, error: ServingError) -> None:
        """Take why there is none."""
        if not self.is_over:
            self.error = error
            self._end()

    def expire(self) -> None:
        """Nobody waits any longer."""
        self.fail(OUT_OF_TIME)

    def cancel(self) -> None:
        """The client has gone; what is not running yet will not run, and what runs for nobody else ends."""
        if not self.is_over:
            self.is_over = True
            self._on_done = _nobody
            self.on_cancel(self)

    def _end(self) -> None:
        self.is_over = True
        # Whoever waits holds this job, too: a ring of objects would stay until somebody looks for garbage.
        on_done, self._on_done = self._on_done, _nobody
        on_done(self)


def _nobody(job: Job) -> None:
    """Hears of jobs that nobody waits for."""
