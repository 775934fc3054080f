"""SHA-256 of files, compared before anybody parses a byte."""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kingmaker_serving.errors import Reason, VerbError

MAX_MODEL_BYTES: Final = 2 * 1024**3
"""Largest artifact: one ONNX file is a protobuf message, which can't be larger."""
MAX_DOCUMENT_BYTES: Final = 4 * 1024**2
"""Largest baseline or examples document."""


def sha256(content: bytes) -> str:
    """Give the digest as it is written everywhere: `sha256:<64 hex digits>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_verified(path: Path, digest: str, *, within: Path | None = None, max_bytes: int = MAX_MODEL_BYTES) -> bytes:
    """Read a file once and give its bytes only when they are the expected ones.

    What is parsed later are these bytes, not the file again: nobody can swap it in between.

    Args:
        path: The file.
        digest: What it must have.
        within: Folder above it below which no part of the way may be a link; None for the one that holds it.
        max_bytes: Of the file.

    Raises:
        VerbError: Not there, not a plain file of its own (a link of either kind), too large, or other bytes.
    """
    try:
        descriptor = _open(within or path.parent, path.relative_to(within or path.parent).parts)
    except OSError as error:
        message = f"{path.name} can't be opened: {error.strerror}; `fetch` must have put a plain file there"
        raise VerbError(Reason.DIGEST_MISMATCH, message) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        message = f"{path.name} is not a plain file with one name (links: {status.st_nlink}); links are refused"
        raise VerbError(Reason.DIGEST_MISMATCH, message)
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > max_bytes:
            raise too_large(path.name, status.st_size, max_bytes)
        content = file.read(status.st_size + 1)
    found = sha256(content)
    if found != digest:
        message = f"{path.name} has digest {found}, expected {digest}; the file is not the one that the Model names"
        raise VerbError(Reason.DIGEST_MISMATCH, message)
    return content


def _open(folder: Path, parts: Sequence[str]) -> int:
    """Open a file by the way to it, a folder at a time; links are not followed."""
    *folders, name = parts
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)


def too_large(name: str, size: int, limit: int) -> VerbError:
    """Build the error of a file over its limit."""
    return VerbError(Reason.TOO_LARGE, f"{name} has {size} bytes, at most {limit} are accepted")
