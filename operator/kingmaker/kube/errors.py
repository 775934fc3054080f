"""What can go wrong between us and the API server.

ApiError
├── NotFoundError     the object is not there
├── ConflictError     it exists already, has changed, or is another one than was meant: read again, then try again
├── RefusedError      admission, quota, validation or RBAC: trying again does not help until something changes
└── UnavailableError  no answer, an overload, an internal error: try again later
"""

from __future__ import annotations

import json
from typing import Final

UNREACHABLE: Final = "Unreachable"


class ApiError(Exception):
    """The API server did not do what was asked; the message says what and why.

    Attributes:
        status: HTTP status; 0 when there was no answer (down, refused, timed out) or nobody was asked.
        reason: `reason` of the Status object, e.g. `NotFound`, or `Unreachable`; may be empty.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        """Take the message, and what the answer said where there was one."""
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_not_found(self) -> bool:
        """Whether the object isn't there."""
        return self.status == 404

    @property
    def is_silence(self) -> bool:
        """Whether there was no answer at all, so that nobody else would get one either."""
        return self.reason == UNREACHABLE

    @property
    def is_lasting(self) -> bool:
        """Whether the same request would fail again: a refusal, not an outage or an overload."""
        return 400 <= self.status < 500 and self.status not in {408, 429}


class NotFoundError(ApiError):
    """The object does not exist."""


class ConflictError(ApiError):
    """The object exists already, or is not the one that was meant."""


class RefusedError(ApiError):
    """Admission, quota, validation or RBAC refuse: trying again does not help until something changes."""


class UnavailableError(ApiError):
    """The API server can't be reached or is overloaded: try again."""


def unreachable(what: str, error: BaseException) -> UnavailableError:
    """Say that there was no answer to `what`."""
    said = f"{what}: the API server can't be reached: {error or type(error).__name__}"
    return UnavailableError(said, reason=UNREACHABLE)


def error_of(what: str, status: int, answer: bytes) -> ApiError:
    """Give the narrowest error that says what the API server answered.

    Args:
        what: The request, for people.
        status: HTTP status, 400 or more.
        answer: Body: a Status object as a rule, or what a proxy before the API server says.
    """
    reason = ""
    try:
        body = json.loads(answer)
        said, reason = str(body.get("message", "")), str(body.get("reason", ""))
    except (ValueError, AttributeError):
        said = answer[:500].decode(errors="replace")
    return _kind(status, said)(f"{what}: {status} {said}", status=status, reason=reason)


def _kind(status: int, said: str) -> type[ApiError]:
    match status:
        case 404 if "namespaces" not in said.split('"', maxsplit=1)[0]:
            return NotFoundError
        case 409:
            return ConflictError
        case 400 | 403 | 404 | 422:
            return RefusedError
        case _:
            return UnavailableError
