"""Tell what may pass from what will not, in the errors of libraries that share no base class."""

import json
from collections.abc import Iterator
from typing import Any, Final

from kingmaker_serving.storage.stream import advise, is_passing_status

_CUT: Final = frozenset({"ClientPayloadError", "IncompleteReadError", "IncompleteRead", "ServerDisconnectedError"})
_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_WRONG_CALL: Final = (ValueError, TypeError, AttributeError, KeyError, NotImplementedError)
"""Raised for addresses and credentials of the wrong form; a busy server is none of these."""
_CHANGED: Final = (412, 416)
"""No longer what was found, or shorter than it: only bytes that a store had told of are asked for."""
_EXPIRED: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")


def classify(error: BaseException, refusals: frozenset[str] = frozenset()) -> tuple[bool, str]:
    """Judge a library's error.

    Args:
        error: As it came.
        refusals: Names of the library's errors that mean missing or refused credentials.

    Returns:
        Whether it may pass, and what was found with what to check; the text may hold secrets.
    """
    chain = list(_chain(error))
    status = next((found for link in chain if (found := _status(link)) is not None), None)
    said = _said(error)
    if any(word in said for word in _EXPIRED):
        return False, f"{said}: the token has expired or is not one of this store; renew it in the Secret"
    names = {type(link).__name__ for link in chain}
    if names & _CUT:
        return True, "the connection was cut"
    if any(type(link).__module__ == "aiohttp.http_exceptions" for link in chain):
        # It counts as a status 400 that no server said.
        return True, "what was answered is not HTTP"
    if status in _CHANGED:
        return True, "it was replaced while it was read"
    if missing := names & refusals:
        return False, f"{_join(min(missing), said)}: credentials are missing or refused; check the Secret's variables"
    if status is not None:
        return is_passing_status(status), f"status {status}, {said}" + _unless_passing(status)
    if isinstance(error, PermissionError) or said.startswith("Forbidden"):
        return False, f"{said}: {advise(403)}"
    if isinstance(error, _MISSING):
        return False, f"{type(error).__name__}: {advise(404)}"
    if isinstance(error, _WRONG_CALL) and not isinstance(error, json.JSONDecodeError):
        return False, f"{_join(type(error).__name__, said)}: check the address and the form of the credentials"
    return True, _join(type(error).__name__, said)


def _unless_passing(status: int) -> str:
    return "" if is_passing_status(status) else f": {advise(status)}"


def _join(name: str, said: str) -> str:
    return name if said in ("", name) else f"{name}: {said}"


def _said(error: BaseException) -> str:
    """The first line of an error's text, or its name where it has none."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".:")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _status(error: Any) -> int | None:  # noqa: ANN401  # each library has another base class
    """The HTTP status that an error tells, wherever its library keeps it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        places = [(response, "status_code"), (error, "status_code"), (error, "status")]
        # aiohttp says 400 of its own when a connection is cut; nobody answered that.
        places += [(error, "code")] if type(error).__module__.startswith("gcsfs") else []
        found = next((value for owner, name in places if (value := getattr(owner, name, None)) is not None), None)
    text = str(found)
    return int(text) if text.isdigit() and 300 <= int(text) < 600 else None
