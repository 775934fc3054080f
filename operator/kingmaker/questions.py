"""Questions to a Prometheus, asked beside the passes: none of them waits for an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kingmaker.core.observed import Answer, Answers, Question
from kingmaker.ports import Clock, Key, Queries

_MOST_ANSWERS: Final = 50
"""Answers of one question that are remembered, the newest: as many as the schema lets count."""


@dataclass(slots=True)
class _Asked:
    """One question of a deployment: when it was asked last, what was answered, and who waits for the next answer."""

    at: datetime | None = None
    answers: deque[Answer] = field(default_factory=lambda: deque(maxlen=_MOST_ANSWERS))
    waiting: asyncio.Task[None] | None = None


class Questions:
    """What was asked about which deployment, and what came back. A restart begins with no answers."""

    def __init__(self, queries: Queries | None, clock: Clock, between: timedelta) -> None:
        """Take whom to ask, None for nobody, and how much time shall pass between two looks."""
        self._queries = queries
        self._clock = clock
        self._between = between
        self._asked: dict[Key, dict[Question, _Asked]] = {}

    def look(self, key: Key, wanted: Iterable[Question]) -> Answers:
        """Give the answers so far, and ask in the background what is due; who is not wanted any more is forgotten.

        Args:
            key: The deployment.
            wanted: Everything that is asked about it now.
        """
        wanted = set(wanted) if self._queries else set()
        known = self._asked.setdefault(key, {}) if wanted else self._asked.get(key, {})
        for question in known.keys() - wanted:
            _cancel(known.pop(question))
        if not wanted:
            self._asked.pop(key, None)
            return {}
        now = self._clock.now()
        for question in wanted:
            asked = known.setdefault(question, _Asked())
            if self._queries and asked.waiting is None and (asked.at is None or now >= asked.at + self._between):
                asked.at = now
                asked.waiting = asyncio.create_task(_ask(self._queries, question, asked))
        return {question: tuple(asked.answers) for question, asked in known.items()}

    def forget(self, key: Key) -> None:
        """Drop what was asked about a deployment that is gone."""
        self.look(key, ())


async def _ask(queries: Queries, question: Question, asked: _Asked) -> None:
    try:
        asked.answers.append(await queries.ask(question))
    finally:
        asked.waiting = None


def _cancel(asked: _Asked) -> None:
    if asked.waiting:
        asked.waiting.cancel()
