"""Objects of the API that were read into values, kept for the next pass: mostly nothing changed since."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from kingmaker.api.common import Resource
from kingmaker.ports import Body

R = TypeVar("R", bound=Resource)

_MOST: Final = 10_000
"""Values that are kept, by uid."""


class Parsed(Generic[R]):
    """Values of one kind. The same body gives the same value, which others may take as a sign that nothing changed."""

    def __init__(self, kind: type[R]) -> None:
        """Begin with nothing remembered."""
        self._kind = kind
        self._known: dict[str, tuple[Body, R]] = {}

    def of(self, body: Body) -> R:
        """Read an object.

        Raises:
            ValueError: It does not fit.
        """
        uid = body["metadata"]["uid"]
        known = self._known.get(uid)
        if known and known[0] is body:
            return known[1]
        value = self._kind.parse(body)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[uid] = (body, value)
        return value
