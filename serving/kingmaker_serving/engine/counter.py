"""Counting what was answered, off the request's path: noted one by one, counted many at a time."""

import asyncio
from collections.abc import Mapping
from typing import Final

import numpy as np

from kingmaker_serving.counts.profile import Profile

_MOST_REQUESTS: Final = 128
_MOST_ROWS: Final = 4096
"""Counted when this much was noted, so that what is kept for it stays small."""
_SECONDS: Final = 0.1
Arrays = Mapping[str, np.ndarray]


class Counting:
    """What was answered since the last count. Whoever reads the counts asks for `settle` first."""

    def __init__(self, profile: Profile) -> None:
        """Take where it goes."""
        self._profile = profile
        self._answers: list[tuple[str, int, float]] = []
        self._tensors: list[tuple[Arrays, Arrays]] = []
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None
        self._counts_cells = profile.features is not None or profile.answers is not None

    def add(self, decision: str, rows: int, seconds: float, inputs: Arrays, outputs: Arrays) -> None:
        """Note an answer that was sent.

        Args:
            decision: Label.
            rows: Rows answered.
            seconds: From its first byte to the answer's last.
            inputs: What the model saw, and
            outputs: what it said; neither is changed any more.
        """
        self._answers.append((decision, rows, seconds))
        if self._counts_cells:
            self._tensors.append((inputs, outputs))
        self._rows += rows
        if self._rows >= _MOST_ROWS or len(self._answers) >= _MOST_REQUESTS:
            self.settle()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.settle)

    def settle(self) -> None:
        """Count all that was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._answers:
            return
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
