"""A run of the champion that is repeated by a challenger: the same rows at once, so that their times compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kingmaker_serving.engine.job import Job


@dataclass(frozen=True, slots=True)
class Copy:
    """What the champion saw and said in one run, of one request or of several, one after another."""

    decision: str
    parts: tuple[tuple[bytes, int], ...]
    """The requests: what they are remembered by, and their rows."""
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    rows: int
    seconds: float
    """Of the model alone."""

    @property
    def requests(self) -> int:
        """How many."""
        return len(self.parts)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(_size(array) for side in (self.inputs, self.outputs) for array in side.values())


def copy_run(jobs: Sequence[Job], decision: str, outputs: Sequence[str]) -> Copy:
    """Copy the requests of one run.

    Args:
        jobs: Answered together, one at least; inputs differ in their first dimension at most.
        decision: Under which pairs are counted.
        outputs: Which are compared.
    """
    rows = [len(job.answers) or job.rows for job in jobs]
    return Copy(
        decision=decision,
        parts=tuple((job.made.nonce, count) for job, count in zip(jobs, rows, strict=True)),
        inputs=_joined([job.inputs for job in jobs]),
        outputs=_joined([{name: job.outputs[name] for name in outputs} for job in jobs]),
        rows=sum(rows),
        seconds=sum(job.seconds for job in jobs),
    )


def _joined(sides: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    if len(sides) == 1:
        return sides[0]
    return {name: np.concatenate([side[name] for side in sides]) for name in sides[0]}


def _size(array: np.ndarray) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return array.nbytes + sum(len(value) for value in array.ravel() if isinstance(value, str | bytes))
