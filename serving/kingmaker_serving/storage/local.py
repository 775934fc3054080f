"""Files that are there already: by path, by file:// URI, or on a claim that is mounted."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from kingmaker_serving.storage.stream import CHUNK_BYTES, LastingError, Opener, Stream, plain

Claims = Mapping[str, Path]
"""Where each claim is mounted, by its name."""


def path_opener(path: Path) -> Opener:
    """Open a file by its path."""
    return lambda: _open(path, str(path))


def file_opener(uri: str) -> Opener:
    """Open `file:///path`.

    Raises:
        LastingError: The URI names another host.
    """
    parts = urlsplit(uri)
    if parts.hostname not in {None, "localhost"}:
        message = f"a file of the host {parts.netloc!r} is out of reach; write file:///path"
        raise LastingError(message)
    return path_opener(Path(unquote(parts.path)))


def claim_opener(uri: str, claims: Claims) -> Opener:
    """Open `pvc://CLAIM/path` on a claim that is mounted.

    Args:
        uri: Names claim and path.
        claims: Where each claim is mounted.

    Raises:
        LastingError: The claim is not mounted.
    """
    parts = urlsplit(uri)
    mount = claims.get(parts.netloc)
    if mount is None:
        message = f"claim {parts.netloc!r} is not mounted here; name its folder with --pvc {parts.netloc}=FOLDER"
        raise LastingError(message)
    return lambda: _open(_inside(mount, unquote(parts.path)), plain(uri))


def _inside(mount: Path, path: str) -> Path:
    # A link on a shared volume must not lead to what only this container sees.
    root, target = mount.resolve(), Path(mount, path.lstrip("/")).resolve()
    if not target.is_relative_to(root):
        message = "the path leads out of the claim; links must stay within it"
        raise LastingError(message)
    return target


@contextmanager
def _open(path: Path, shown: str) -> Iterator[Stream]:
    try:
        # A pipe without a writer would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        message = f"{error.strerror}; check the path, and that user {os.getuid()} may read it"
        raise LastingError(message) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            message = f"{shown.rsplit('/', 1)[-1]} is not a plain file; name the file itself"
            raise LastingError(message)
        yield Stream(_chunks(file), status.st_size)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
