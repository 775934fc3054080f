"""What every kind of store gives: a file as chunks, its length where it is told, and errors of two sorts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stream:
    """A file that is being read."""

    chunks: Iterator[bytes]
    length: int | None = None
    """Bytes in all as the store told in advance; None where it did not."""


Opener = Callable[[], AbstractContextManager[Stream]]
"""Opens the same file again and again: each retry begins anew."""


class PassingError(Exception):
    """A download that may work the next time. The message holds no secrets."""


class LastingError(Exception):
    """A download that won't work the next time either: what was found, and what to check. No secrets."""


def plain(uri: str) -> str:
    """Write a URI for people: without user, password and query, which may hold secrets.

    >>> plain("https://me:hunter2@models.example.com/a.onnx?sig=abc")
    'https://models.example.com/a.onnx'
    >>> plain("hf://Org/Repo@main/a.onnx")
    'hf://Org/Repo@main/a.onnx'
    """
    parts = urlsplit(uri)
    if not parts.scheme:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    # What stands before the @ is a container's name for az://, and nobody's secret as long as it has no password.
    shown = parts.netloc if user and ":" not in user and parts.scheme not in {"http", "https"} else host
    return f"{parts.scheme}://{shown}{parts.path}"


def is_passing_status(status: int) -> bool:
    """Whether a request with this HTTP status is worth repeating."""
    return status in {408, 425, 429} or status >= 500


def advise(status: int) -> str:
    """Say what to check about a status that stays."""
    if status in {401, 403}:
        return (
            "access is denied; check the credentials in the Secret, whether they have expired, and that they may read "
            "it (many stores say the same of what is not there)"
        )
    if status in {404, 410}:
        return "there is nothing; check bucket and path"
    if status < 400:
        return "it redirects to elsewhere; name the address, and the region, where the file is"
    if status == 400:
        return "the request is refused; check address, region, and whether the credentials have expired"
    return "check the address and credentials"
