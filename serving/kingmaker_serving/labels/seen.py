"""Which requests had their labels already: the last million or so, in 16 MiB at most."""

import mmap
from typing import Final

GENERATION: Final = 2**19
"""Requests in one generation. Two are kept, so at least this many are remembered, and at most twice as many."""
_SLOTS: Final = 2 * GENERATION


class SeenRequests:
    """Numbers of requests, each 64 random bits. When a generation is full, the one before it is forgotten."""

    def __init__(self, generation: int = GENERATION) -> None:
        """Begin with none; memory is taken as numbers come."""
        self._most = generation
        self._slots = 2 * generation
        self._young = self._table()
        self._old = self._young
        self._count = 0

    def __contains__(self, number: int) -> bool:
        """Whether a number was added, and is remembered still."""
        number = number or 1
        return self._find(self._young, number)[1] or (self._old is not self._young and self._find(self._old, number)[1])

    def add(self, number: int) -> None:
        """Remember a number."""
        number = number or 1
        place, is_there = self._find(self._young, number)
        if is_there:
            return
        if self._count == self._most:
            self._old, self._young, self._count = self._young, self._table(), 0
            place, _ = self._find(self._young, number)
        self._young[place] = number
        self._count += 1

    def _table(self) -> memoryview:
        # Pages that nobody wrote to take no memory; half of the slots stay empty, so that looking is short.
        return memoryview(mmap.mmap(-1, 8 * self._slots)).cast("Q")

    def _find(self, table: memoryview, number: int) -> tuple[int, bool]:
        """Give the slot of a number, or the empty one where it belongs."""
        slots = self._slots
        place = number % slots
        while True:
            found = table[place]
            if found == number:
                return place, True
            if not found:
                return place, False
            place = (place + 1) % slots
