"""SHA-256 of files, compared before anybody parses a byte."""

import hashlib
import os
import stat
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


def read_verified(path: Path, digest: str, *, max_bytes: int = MAX_MODEL_BYTES) -> bytes:
    """Read a file once and give its bytes only when they are the expected ones.

    What is parsed later are these bytes, not the file again: nobody can swap it in between.

    Raises:
        VerbError: Not there, not a plain file of its own (a link of either kind), too large, or other bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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


def too_large(name: str, size: int, limit: int) -> VerbError:
    """Build the error of a file over its limit."""
    return VerbError(Reason.TOO_LARGE, f"{name} has {size} bytes, at most {limit} are accepted")
