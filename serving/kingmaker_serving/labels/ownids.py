"""Ids that clients gave their requests themselves, and the request ids that belong to them: the newest, by memory."""

from typing import Final

LONGEST: Final = 256
"""Characters of a client's id that is remembered."""
GENERATION: Final = 25_000
"""Ids in one generation. Two are kept, so at least this many are remembered, in about 15 MiB at most."""


class OwnIds:
    """Finds the request id for a client's. The same id a second time means the newer request."""

    def __init__(self, generation: int = GENERATION) -> None:
        """Begin with none."""
        self._most = generation
        self._young: dict[str, str] = {}
        self._old: dict[str, str] = {}

    def know(self, own: str, request_id: str) -> None:
        """Remember which request a client's id belongs to; a longer one than 256 characters is not remembered."""
        if not own or len(own) > LONGEST:
            return
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[own] = request_id

    def find(self, own: str) -> str | None:
        """Give the request id; None when it is not known, or forgotten."""
        return self._young.get(own) or self._old.get(own)
