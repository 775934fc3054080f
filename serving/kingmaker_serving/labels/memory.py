"""What an id can't carry and a process has to remember: what challengers said to copies, and answers of very many rows.

It is gone with the process. Labels for it are passed on to the pod whose address stands in the id.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kingmaker_serving.counts.labelled import LabelCounts, Seen
from kingmaker_serving.labels.answers import Value, pack, unpack, values_of
from kingmaker_serving.labels.ids import Answered
from kingmaker_serving.labels.verdict import see

MOST_BYTES: Final = 16 * 1024**2
"""Of answers of wide requests, and of challengers' answers, each."""
_ENTRY_BYTES: Final = 200
"""What a remembered request takes beside its answers."""
_MOST_EARLY_BYTES: Final = 4 * 1024**2
"""Of labels that wait for a challenger's answer, which comes within seconds."""
_LABEL_BYTES: Final = 40


class WideAnswers:
    """Answers of requests with more rows than an id has room for; the oldest are forgotten first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none."""
        self._most = most_bytes
        self._answers: OrderedDict[bytes, tuple[list[Value] | np.ndarray, int]] = OrderedDict()
        self.bytes = 0

    def remember(self, nonce: bytes, answers: np.ndarray) -> None:
        """Remember a request's answers, one per row. What is larger than the whole memory is not remembered."""
        # A part of a larger array would keep all of it.
        kept = values_of(answers) if answers.dtype.kind == "O" else answers.copy()
        size = _ENTRY_BYTES + _size_of(kept)
        if size > self._most:
            return
        self._answers[nonce] = (kept, size)
        self.bytes += size
        while self.bytes > self._most:
            _, (_, freed) = self._answers.popitem(last=False)
            self.bytes -= freed

    def complete(self, answered: Answered) -> Answered | None:
        """Give what an id says together with the answers; None when they are forgotten."""
        found = self._answers.get(answered.nonce)
        if found is None:
            return None
        answers = found[0] if isinstance(found[0], list) else values_of(found[0])
        return replace(answered, answers=answers)


@dataclass(frozen=True, slots=True)
class _Rival:
    challenger: str
    decision: int | None
    form: int
    content: bytes


class Pairs:
    """What challengers said to the same rows, until labels come; and labels, until a challenger has answered."""

    def __init__(self, counts: LabelCounts, most_bytes: int = MOST_BYTES) -> None:
        """Take where verdicts are counted."""
        self._counts = counts
        self._most = most_bytes
        self._rivals: OrderedDict[bytes, tuple[_Rival, ...]] = OrderedDict()
        self._early: OrderedDict[bytes, tuple[Answered, Sequence[Value], int]] = OrderedDict()
        self._early_bytes = 0
        self.bytes = 0

    def pair(self, nonce: bytes, *, challenger: str, decision: int | None, answers: np.ndarray) -> None:
        """Take what a challenger said to a request. Labels that came before it judge it now."""
        packed = pack(answers, self._most)
        if packed is None:
            return
        rival = _Rival(challenger, decision, *packed)
        early = self._early.get(nonce)
        if early is not None:
            self._judge(early[0], rival, early[1])
            return
        rivals = self._rivals.pop(nonce, ())
        self._rivals[nonce] = (*rivals, rival)
        self.bytes += _ENTRY_BYTES + len(rival.content)
        while self.bytes > self._most:
            _, forgotten = self._rivals.popitem(last=False)
            self._free(forgotten)

    def judge(self, answered: Answered, labels: Sequence[Value]) -> None:
        """Judge the challengers that answered the request, and those that still will, once each.

        Args:
            answered: With the answers.
            labels: That `check_labels` let pass.
        """
        if answered.nonce in self._early:
            return
        self._keep_early(answered, labels)
        rivals = self._rivals.pop(answered.nonce, ())
        self._free(rivals)
        for rival in rivals:
            self._judge(answered, rival, labels)

    def _keep_early(self, answered: Answered, labels: Sequence[Value]) -> None:
        texts = sum(len(label) for label in labels if isinstance(label, str))
        size = _ENTRY_BYTES + 2 * _LABEL_BYTES * len(labels) + texts
        self._early[answered.nonce] = (answered, labels, size)
        self._early_bytes += size
        while self._early_bytes > _MOST_EARLY_BYTES:
            _, (_, _, freed) = self._early.popitem(last=False)
            self._early_bytes -= freed

    def _free(self, rivals: Sequence[_Rival]) -> None:
        self.bytes -= sum(_ENTRY_BYTES + len(rival.content) for rival in rivals)

    def _judge(self, answered: Answered, rival: _Rival, labels: Sequence[Value]) -> None:
        answers = unpack(rival.form, rival.content)
        if len(answers) != len(labels):
            return
        mine, theirs = (self._see(answered, said, labels) for said in (answered.answers, answers))
        self._counts.count_pair(rival.challenger, rival.decision, mine, theirs)

    def _see(self, answered: Answered, answers: Sequence[Value], labels: Sequence[Value]) -> Seen:
        tolerance, random = answered.tolerance, answered.random
        return see(answers, labels, tolerance=tolerance, random=random, name=self._counts.names.of)


def _size_of(kept: list[Value] | np.ndarray) -> int:
    if isinstance(kept, np.ndarray):
        return kept.nbytes
    return sum(64 + len(value) for value in kept if isinstance(value, str))
