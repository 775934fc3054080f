"""Counting what was answered, off the request's path: noted one by one, counted many at a time."""

import asyncio
from typing import Final

import numpy as np

from kingmaker_serving.counts.profile import Profile
from kingmaker_serving.engine.job import Arrays, Job, Run

_MOST_REQUESTS: Final = 128
_MOST_ROWS: Final = 4096
"""Counted when this much was noted, so that what is kept for it stays small."""
_SECONDS: Final = 0.1


class Counting:
    """What was answered since the last count. Whoever reads the counts asks for `settle` first."""

    def __init__(self, profile: Profile) -> None:
        """Take where it goes."""
        self._profile = profile
        self._answers: list[tuple[str, str, int, float]] = []
        self._tensors: list[tuple[Arrays, Arrays]] = []
        self._runs: dict[int, Run] = {}
        """Of which some jobs were answered, others not yet."""
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None
        self._counts_cells = profile.features is not None or profile.answers is not None

    def add(self, job: Job, rows: int, seconds: float) -> None:
        """Note an answer that was sent.

        Args:
            job: What the model saw and said; neither is changed any more.
            rows: Rows answered.
            seconds: From its first byte to the answer's last.
        """
        self._answers.append((job.decision, job.bucket, rows, seconds))
        if self._counts_cells:
            self._note(job)
        self._rows += rows
        if self._rows >= _MOST_ROWS or len(self._answers) >= _MOST_REQUESTS:
            self.settle()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.settle)

    def _note(self, job: Job) -> None:
        """Keep a job's tensors, or those of its whole run once all of that was answered."""
        run = job.run
        if run is None or run.noted is None:
            self._tensors.append((job.inputs, job.outputs))
            return
        run.noted.append(job)
        if len(run.noted) == run.size:
            self._tensors.append((run.inputs, run.outputs))
            run.noted = None
            self._runs.pop(id(run), None)
        elif len(run.noted) == 1:
            self._runs[id(run)] = run

    def _split_runs(self) -> None:
        """Take the jobs of runs that are not answered as a whole one by one: the others may fail."""
        for run in self._runs.values():
            self._tensors += [(job.inputs, job.outputs) for job in run.noted or ()]
            run.noted = None
        self._runs.clear()

    def settle(self) -> None:
        """Count all that was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._answers:
            return
        self._split_runs()
        answers, self._answers = self._answers, []
        tensors, self._tensors = self._tensors, []
        self._rows = 0
        self._profile.count_answers(answers)
        if self._counts_cells:
            for inputs, outputs in _joined(tensors):
                self._profile.count_cells(inputs, outputs)


def _joined(tensors: list[tuple[Arrays, Arrays]]) -> list[tuple[Arrays, Arrays]]:
    """Put requests together that have the same tensors of the same form."""
    if len(tensors) == 1:
        return tensors
    groups: dict[tuple[object, ...], list[tuple[Arrays, Arrays]]] = {}
    for pair in tensors:
        form = tuple((name, array.shape[1:], array.ndim) for side in pair for name, array in side.items())
        groups.setdefault(form, []).append(pair)
    return [(_stacked([pair[0] for pair in group]), _stacked([pair[1] for pair in group])) for group in groups.values()]


def _stacked(sides: list[Arrays]) -> Arrays:
    if len(sides) == 1:
        return sides[0]
    return {name: np.concatenate([np.atleast_1d(side[name]) for side in sides]) for name in sides[0]}
