"""A value by its identity: what follows from something large can be remembered without comparing all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, Generic, TypeVar

from typing_extensions import override

T = TypeVar("T")
R = TypeVar("R")

_REMEMBERED: Final = 256
"""Objects of which is remembered what a function gave for them: those that are looked at every second."""


class Same(Generic[T]):
    """Equal to another one only when both are of the very same object, which must not be changed.

    As the key of a cache it keeps the object, so no other one takes its identity meanwhile.

    >>> one, other = [1], [1]
    >>> Same(one) == Same(one), Same(one) == Same(other)
    (True, False)
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        """Take the object."""
        self.value = value

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    @override
    def __hash__(self) -> int:
        return id(self.value)


def by_identity(function: Callable[[T], R]) -> Callable[[T], R]:
    """Remember what a pure function gave for an object, by the object's identity; neither may be changed."""
    remembered = lru_cache(maxsize=_REMEMBERED)(lambda same: function(same.value))

    @wraps(function)
    def call(value: T) -> R:
        found: R = remembered(Same(value))
        return found

    return call
