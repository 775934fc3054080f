"""Whom the operator names to a server: challengers that get copies of requests, and the pods that labels may belong to.

A small file that the operator owns and that may change any time.
"""

import ipaddress
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from kingmaker_serving.counts.series import NONE
from kingmaker_serving.errors import NOT_JSON

logger = logging.getLogger(__name__)

MAX_TARGETS: Final = 8
_MAX_BYTES: Final = 256 * 1024


class Target(msgspec.Struct, frozen=True):
    """A challenger, and the percent of requests that it gets copies of."""

    model: str
    digest: str
    url: str
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Targets(msgspec.Struct, frozen=True):
    """The file: under which decision pairs are counted, whose requests are copied, and which pods there are."""

    decision: Annotated[int, msgspec.Meta(ge=0, le=999_999_999)]
    champion: str
    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAX_TARGETS)] = ()
    peers: Mapping[str, tuple[str, ...]] = {}
    """Addresses of the deployment's pods by model, where there is more than one pod."""

    @property
    def label(self) -> str:
        """The decision as a label."""
        return str(self.decision) if self.decision else NONE

    @property
    def addresses(self) -> frozenset[str]:
        """Every pod's address, spelt as ids spell it."""
        return frozenset(str(ipaddress.ip_address(address)) for pods in self.peers.values() for address in pods)


class TargetsFile:
    """Reads the file when it changed. Kubernetes replaces it by a link, so the name it has is followed anew."""

    def __init__(self, path: Path) -> None:
        """Take where it is, or will be."""
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self.current: Targets | None = None
        """What is in force: the last good content, None without a file."""

    def refresh(self) -> bool:
        """Read the file when it is new, changed or gone; say whether `current` changed."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev)
            if seen == self._seen:
                return False
            content = self._path.read_bytes()[: _MAX_BYTES + 1]
        except OSError:
            was_there = self.current is not None
            self._seen, self.current = None, None
            return was_there
        self._seen = seen
        before = self.current
        self.current = _read(content, before)
        return self.current != before


def _read(content: bytes, before: Targets | None) -> Targets | None:
    try:
        read = msgspec.json.decode(content, type=Targets)
        for target in read.targets:
            if not target.url.startswith(("http://", "https://")):
                message = f"url {target.url!r} is not http"
                raise ValueError(message)
        _ = read.addresses
    except (*NOT_JSON, ValueError) as error:
        logger.warning("targets can't be read, the last good ones stay", extra={"error": str(error)[:200]})
        return before
    return read
