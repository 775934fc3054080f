"""`override` for type checkers. Python 3.11 has none, and the image needs no package for what does nothing there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    F = TypeVar("F", bound=Callable[..., object])

    def override(method: F) -> F:
        """Give the method back."""
        return method


__all__ = ["override"]
