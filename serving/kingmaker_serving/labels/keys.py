"""Keys of the request ids: files in a folder that the pods of a deployment share, one key each.

The newest by name makes ids, all of them read ids. So keys are changed by adding one, and an old one is taken away
once nobody has labels for its ids any more.
"""

import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kingmaker_serving.errors import Reason, VerbError

logger = logging.getLogger(__name__)

SHORTEST: Final = 32
"""Bytes of a key, at least."""
FINGERPRINT_BYTES: Final = 4
SETTLE_SECONDS: Final = 120.0
"""A key that appears makes ids after this time only: a kubelet brings it to the other pods within 60 to 90 seconds."""
_MOST_KEYS: Final = 16
_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class IdKey:
    """One key: `fingerprint` stands in front of the ids that it made, `cipher` seals and opens them."""

    name: str
    fingerprint: bytes
    cipher: AESGCM

    @classmethod
    def of(cls, name: str, content: bytes) -> "IdKey":
        """Derive a key from what a file holds: whatever it is, a cipher wants 32 bytes."""
        key = hashlib.sha256(b"kingmaker.dev/request-id/v1\0" + content).digest()
        fingerprint = hashlib.sha256(b"fingerprint\0" + key).digest()[:FINGERPRINT_BYTES]
        return cls(name, fingerprint, AESGCM(key))


class Keys:
    """The keys of one process, re-read when the folder changes."""

    def __init__(self, folder: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the keys.

        Args:
            folder: Where they are; None for a random one, whose ids no other process reads.
            clock: Seconds.

        Raises:
            VerbError: Internal, when the folder has no key.
        """
        self._folder = folder
        self._clock = clock
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self._waiting: tuple[IdKey, float] | None = None
        self._keys: Mapping[bytes, IdKey] = {}
        if folder is None:
            self.current = IdKey.of("", secrets.token_bytes(SHORTEST))
            self._keys = {self.current.fingerprint: self.current}
            return
        self._seen = _stamps(folder)
        found = _read(folder)
        if not found:
            message = f"{folder.name!r} of --id-keys holds no key: expected files of at least {SHORTEST} random bytes"
            raise VerbError(Reason.INTERNAL, message)
        self._take(found)
        self.current = found[-1]
        """What makes ids."""

    def find(self, fingerprint: bytes) -> IdKey | None:
        """Give the key of this fingerprint; None when it is not among those of this deployment."""
        return self._keys.get(fingerprint)

    def refresh(self) -> bool:
        """Read the folder again when it changed, and go on to a key that has settled; say whether anything changed.

        A folder without a key, or one that can't be read, leaves the keys as they are.
        """
        changed = self._reread() if self._folder else False
        if self._waiting and self._clock() >= self._waiting[1]:
            self.current, self._waiting = self._waiting[0], None
            logger.info("ids are made with another key", extra={"key": self.current.name})
            changed = True
        return changed

    def _reread(self) -> bool:
        assert self._folder is not None
        stamps = _stamps(self._folder)
        if stamps == self._seen:
            return False
        self._seen = stamps
        found = _read(self._folder)
        if not found:
            logger.warning("no key of the request ids can be read, those before stay")
            return False
        self._take(found)
        newest = found[-1]
        if newest.fingerprint == self.current.fingerprint:
            self._waiting = None
        elif self.current.fingerprint not in self._keys:
            # It was taken away: nobody else reads its ids any more.
            self.current, self._waiting = newest, None
        elif self._waiting is None or self._waiting[0].fingerprint != newest.fingerprint:
            self._waiting = (newest, self._clock() + SETTLE_SECONDS)
        logger.info("keys of the request ids changed", extra={"keys": [key.name for key in found]})
        return True

    def _take(self, found: list[IdKey]) -> None:
        self._keys = {key.fingerprint: key for key in found}


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Say what tells whether the keys changed. Kubernetes replaces all files by a link, so links are followed anew."""
    try:
        entries = [(entry.name, entry.stat()) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return ()
    return tuple(sorted((name, status.st_mtime_ns, status.st_ino) for name, status in entries))


def _read(folder: Path) -> list[IdKey]:
    """Read the newest keys, in the order of their names."""
    keys: list[IdKey] = []
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and entry.is_file())
    except OSError:
        return []
    for name in names[-_MOST_KEYS:]:
        try:
            with (folder / name).open("rb") as file:
                content = file.read(_MOST_BYTES)
        except OSError as error:
            logger.warning("a key can't be read", extra={"key": name, "error": str(error.strerror)})
            continue
        if len(content) < SHORTEST:
            found = {"key": name, "found_bytes": len(content), "expected_bytes": SHORTEST}
            logger.warning("a key is too short and is left out", extra=found)
            continue
        keys.append(IdKey.of(name, content))
    return keys
