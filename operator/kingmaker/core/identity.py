"""A value by its identity: what follows from something large can be remembered without comparing all of it."""

from __future__ import annotations

from typing import Generic, TypeVar

from typing_extensions import override

T = TypeVar("T")


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
