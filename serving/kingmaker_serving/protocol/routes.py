"""What the requests' port answers at which path, by which method."""

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from kingmaker_serving.errors import ErrorCode, ServingError


class Page(Enum):
    """Everything that is answered."""

    SERVER = auto()
    LIVE = auto()
    READY = auto()
    MODEL = auto()
    MODEL_READY = auto()
    INFER = auto()
    FEEDBACK = auto()
    INDEX = auto()


_POSTED: Final = frozenset({Page.INFER, Page.FEEDBACK, Page.INDEX})
_FIXED: Final = {
    "/v2": Page.SERVER,
    "/v2/": Page.SERVER,
    "/v2/health/live": Page.LIVE,
    "/v2/health/ready": Page.READY,
    "/v2/repository/index": Page.INDEX,
}
_OF_A_MODEL: Final = {
    (): Page.MODEL,
    ("ready",): Page.MODEL_READY,
    ("infer",): Page.INFER,
    ("feedback",): Page.FEEDBACK,
}
_CACHED_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class Route:
    """What was asked for."""

    page: Page
    model: str = ""
    """Name of the model, of pages that are about one."""
    version: str = ""
    """Of that model, when the path has `/versions/{version}`."""


def route(method: str, path: str) -> Route:
    """Find what a request is for.

    Args:
        method: As in the request line. HEAD is as GET; leaving its body out is for who writes the answer.
        path: As in the request line, without the query, not decoded yet. As in Triton, no path but `/v2/` may end in a
            slash.

    Raises:
        ServingError: NOT_FOUND; METHOD with `allow`; INVALID_REQUEST where models would be loaded or unloaded.
    """
    found = _find(path) if len(path) <= _CACHED_CHARACTERS else _find.__wrapped__(path)
    if found is None:
        raise ServingError(ErrorCode.NOT_FOUND, f"there is nothing at {path[:200]!r}")
    allow = "POST" if found.page in _POSTED else "GET, HEAD"
    if method not in allow.split(", "):
        message = f"method {method[:20]} is not answered here; use {allow.split(',', maxsplit=1)[0]}"
        raise ServingError(ErrorCode.METHOD, message, allow=allow)
    return found


@lru_cache(1024)
def _find(path: str) -> Route | None:
    page = _FIXED.get(path)
    if page is not None:
        return Route(page)
    try:
        match [unquote_to_bytes(part).decode() for part in path.split("/")]:
            case ["", "v2", "models", model, "versions", version, *rest] if model and version:
                page = _OF_A_MODEL.get(tuple(rest))
            case ["", "v2", "models", model, *rest] if model:
                version, page = "", _OF_A_MODEL.get(tuple(rest))
            case ["", "v2", "repository", "models", model, "load" | "unload"] if model:
                message = "models are not loaded or unloaded by requests; change what the server was started with"
                raise ServingError(ErrorCode.INVALID_REQUEST, message)
            case _:
                return None
    except UnicodeDecodeError:
        return None
    return Route(page, model, version) if page is not None else None
