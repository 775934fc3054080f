"""Files in stores that fsspec has a library for, read in pieces whose size follows the store's speed."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from kingmaker_serving.errors import VerbError
from kingmaker_serving.storage.errors import classify
from kingmaker_serving.storage.secrets import redact
from kingmaker_serving.storage.stream import LastingError, Opener, PassingError, Stream

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 30
Options = dict[str, Any]
Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A store that fsspec reads, and what its library is told.

    Credentials come from variables alone, timeouts are short, nothing is taken from a home folder. Instance metadata
    and default credentials are used only where a variable asks for them; docs/storage.md lists which.
    """

    package: str = ""
    """The package that teaches it to fsspec; empty where fsspec knows it by itself."""
    options: Callable[[str, Environment], Options] = lambda _uri, _environment: {}
    """Gives the arguments of its file system; LastingError where a variable can't be read."""
    limit: Callable[[Any], None] = lambda _store: None
    """Sets what the library takes no arguments for: it shall not repeat by itself for minutes, since `fetch` repeats
    anyway, nor follow redirects to other hosts."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the library reads from variables itself, unless they are set already."""
    refusals: frozenset[str] = frozenset()
    """Names of the errors by which the library says that credentials are missing or refused."""


_FIRST_BYTES: Final = 64 * 1024
_LEAST_BYTES: Final = 16 * 1024
_MOST_BYTES: Final = 8 * 1024 * 1024
_PIECE_SECONDS: Final = 0.5
"""Pieces grow while they take less: a slow store shall still show that it moves."""
_IDENTITY: Final = ("size", "ETag", "etag", "generation", "blob_id")
"""Where s3, az, gs and hf tell one content of a path from the next."""


def plugin_opener(plugin: Plugin, uri: str, environment: Environment) -> Opener:
    """Open by the library of a store.

    Raises:
        ModuleNotFoundError: The library is not installed.
    """
    for name, value in plugin.variables.items():
        os.environ.setdefault(name, value)
    import fsspec  # noqa: PLC0415  # slow to import, and it reads the environment then

    scheme = urlsplit(uri).scheme.lower()
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        message = f"{scheme}:// needs the package {plugin.package!r} in the serving image; install it there"
        raise ModuleNotFoundError(message) from error
    return lambda: _open(plugin, uri, environment)


@contextmanager
def _open(plugin: Plugin, uri: str, environment: Environment) -> Iterator[Stream]:
    import fsspec  # noqa: PLC0415

    try:
        # A new session per attempt: what is broken about a connection is not kept.
        options = plugin.options(uri, environment) | {"skip_instance_cache": True}
        store, path = fsspec.core.url_to_fs(uri, **options)
        plugin.limit(store)
        with store.open(path, "rb", cache_type="none") as file:
            if _is_folder(file):
                message = "it is a folder, or there is nothing; name the file itself"
                raise LastingError(message)
            yield Stream(_unchanged(store, path, file), file.size)
    except (VerbError, LastingError, PassingError):
        # Of whoever reads, or said well enough already.
        raise
    except Exception as error:
        passing, text = classify(error, plugin.refusals)
        raise (PassingError if passing else LastingError)(redact(text, environment)) from error


def _is_folder(file: Any) -> bool:  # noqa: ANN401  # files of plugins share no type
    details = getattr(file, "details", None)
    return isinstance(details, Mapping) and details.get("type") == "directory"


def _unchanged(store: Any, path: str, file: Any) -> Iterator[bytes]:  # noqa: ANN401
    """Give the chunks of a file, which are one file only when it is still the same after the last of them."""
    before = _identity(file.details) if hasattr(file, "details") else None
    yield from _chunks(file)
    store.invalidate_cache()
    if before is not None and _identity(store.info(path)) != before:
        message = "it was replaced while it was read"
        raise PassingError(message)


def _identity(details: Mapping[str, Any]) -> list[object]:
    return [details.get(name) for name in _IDENTITY]


def _chunks(file: Any) -> Iterator[bytes]:  # noqa: ANN401
    wanted, read = _FIRST_BYTES, 0
    while read < file.size:
        wanted = min(wanted, file.size - read)
        began = time.monotonic()
        chunk: bytes = file.read(wanted)
        if not chunk:
            return
        if read == 0 and len(chunk) == file.size:
            # All of it, also from a server that knows no ranges: it may answer so, and the bytes are here already.
            yield chunk
            return
        if len(chunk) > wanted:
            message = f"{len(chunk)} bytes came where {wanted} were asked for; something on the way ignores ranges"
            raise PassingError(message)
        read += len(chunk)
        yield chunk
        is_fast = time.monotonic() - began < _PIECE_SECONDS
        wanted = min(wanted * 2, _MOST_BYTES) if is_fast else max(wanted // 2, _LEAST_BYTES)
