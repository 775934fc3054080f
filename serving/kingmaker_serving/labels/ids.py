"""Request ids: sealed, and with all in them that a label needs to be judged, wherever and whenever it arrives.

An id is base64url of: a version (1 byte; 2 where there is a bucket), the key's fingerprint (4), a nonce (12), and what
AES-256-GCM made of

    form, flags (1 byte each), decision, time (4 each), cell of the score (1), first bytes of the model's digest (8),
    the model's name (1 and up to 63), of a regression its tolerance (8), in version 2 the bucket (2), an address (4 or
    16) where a pod remembers more than the id says, and the answers, one per row.

The name of the deployment is authenticated with it: an id of one deployment is none in another, whatever their keys.
"""

import base64
import binascii
import ipaddress
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag

from kingmaker_serving.labels.answers import NONE, Value, pack, unpack
from kingmaker_serving.labels.keys import FINGERPRINT_BYTES, Keys
from kingmaker_serving.labels.scores import ScoreCells
from kingmaker_serving.protocol.signature import Task, TaskType

MOST_ANSWER_BYTES: Final = 256
"""Bytes of answers in one id: 256 small classes, 64 numbers of 4 bytes. What takes more waits in a pod's memory."""
MOST_TEXT: Final = 512
"""Characters of an id."""
DIGEST_BYTES: Final = 8
NO_DECISION: Final = 0xFFFFFFFF
NO_CELL: Final = 255

_VERSION: Final = b"\x01"
_WITH_BUCKET: Final = b"\x02"
"""A server of before finds no id in it, which is better than another answer than was given."""
_VERSIONS: Final = (_VERSION, _WITH_BUCKET)
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_FRONT_BYTES: Final = 1 + FINGERPRINT_BYTES + _NONCE_BYTES
_MOST_INSIDE: Final = MOST_TEXT // 4 * 3 - _FRONT_BYTES - _TAG_BYTES
_MOST_NAME: Final = 63
_HEAD: Final = struct.Struct(">BBIIB")
_TOLERANCE: Final = struct.Struct(">d")
_BUCKET: Final = struct.Struct(">H")
_REGRESSION, _REMEMBERED, _WIDE, _IPV6 = 1, 2, 4, 8
_WORD: Final = 2**64 - 1


class RequestId(NamedTuple):
    """An id that was made."""

    text: str
    nonce: bytes
    """No other id of this key has it; what this process remembers of the request is found by it."""
    is_wide: bool
    """The answers did not fit: they have to be remembered here."""


NO_ID: Final = RequestId("", b"", is_wide=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """What an id says of its request."""

    nonce: bytes
    decision: int | None
    """Under which the request was routed; None for none."""
    seconds: int
    """Unix time of the answer."""
    model: str
    """Name of the Model that answered, its first 63 characters."""
    digest: str
    """The first 16 digits of that model's digest, in hexadecimal."""
    tolerance: float | None
    """Largest error of a right number; None where answers are classes."""
    cell: int | None
    """Which cell of the baseline's score the score of row `drawn` lies in, counted from 0."""
    address: str
    """IP address of the pod that remembers more of the request; empty where nobody does."""
    is_wide: bool
    """The answers are at that pod."""
    answers: list[Value]
    """One per row; empty where the id does not have them."""
    bucket: int | None = None
    """Of the router; None where it split requests one by one."""

    @property
    def random(self) -> int:
        """A number of 64 bits that nobody chose, the same wherever this id is read."""
        return _mix(self.nonce)

    @property
    def drawn(self) -> int:
        """The row that stands for the request where one observation per request is wanted."""
        return draw_row(self.random, len(self.answers))


def draw_row(random: int, rows: int) -> int:
    """Choose one of the rows of a request by its random number: all are as likely."""
    return (random >> 32) % rows if rows > 1 else 0


class Ids:
    """Makes and reads the ids of one served model. One per process: two that share their nonces must never be."""

    def __init__(
        self,
        keys: Keys,
        *,
        deployment: str,
        model: str,
        digest: str,
        task: Task | None,
        address: str,
        scores: ScoreCells | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what stands in every id.

        Args:
            keys: Seal and open ids.
            deployment: Name of the model in the protocol: the pods under this name read each other's ids.
            model: Name of the Model.
            digest: Of its file, `sha256:` and hexadecimal digits.
            task: What answers mean; None makes ids that no label can be judged by.
            address: IP address of this pod.
            scores: Cells of the baseline's score; None without one.
            clock: Unix time.
        """
        self._keys = keys
        self._about = deployment.encode()
        self._scores = scores
        self._clock = clock
        self._is_judged = task is not None
        self._flags = _REGRESSION if task and task.type is TaskType.REGRESSION else 0
        name = model.encode()[:_MOST_NAME]
        self._who = short_digest(digest) + bytes((len(name),)) + name
        if task and self._flags:
            self._who += _TOLERANCE.pack(task.tolerance)
        own = ipaddress.ip_address(address)
        self._address = own.packed
        self._address_flags = _REMEMBERED | (_IPV6 if own.version == 6 else 0)
        self.address = str(own)
        self._nonces = (secrets.token_bytes(8), count())

    def make(
        self,
        decision: int | None,
        answers: np.ndarray | None,
        scores: np.ndarray | None = None,
        *,
        bucket: int | None = None,
        is_copied: bool = False,
    ) -> RequestId:
        """Make the id of an answered request. May be called from any thread.

        Args:
            decision: Under which it was routed, 0..999,999,999.
            answers: The label output, one value per row; None where labels can't be compared with it.
            scores: The output that the baseline's score is about.
            bucket: Into which the router put it, 0..9,999; None for none.
            is_copied: Challengers get copies: labels are passed on to this pod, which remembers what they said.
        """
        nonce = self._nonce()
        flags = self._flags
        packed: tuple[int, bytes] | None = (NONE, b"")
        place = NO_CELL
        if answers is not None and self._is_judged and answers.size:
            packed = pack(answers, MOST_ANSWER_BYTES)
            if scores is not None and self._scores is not None:
                row = draw_row(_mix(nonce), answers.size) if answers.size > 1 else 0
                place = min(self._scores.find(scores, row), NO_CELL)
        who = self._who if bucket is None else self._who + _BUCKET.pack(bucket)
        is_wide = packed is None or len(packed[1]) + len(who) > _MOST_INSIDE - _HEAD.size - len(self._address)
        form, content = packed if packed is not None and not is_wide else (NONE, b"")
        if is_wide:
            flags |= _WIDE | self._address_flags
        elif is_copied:
            flags |= self._address_flags
        number = NO_DECISION if decision is None else decision
        inside = _HEAD.pack(form, flags, number, int(self._clock()), place) + who
        inside += self._address + content if flags & _REMEMBERED else content
        key = self._keys.current
        sealed = key.cipher.encrypt(nonce, inside, self._about)
        version = _VERSION if bucket is None else _WITH_BUCKET
        raw = binascii.b2a_base64(version + key.fingerprint + nonce + sealed, newline=False)
        text = raw.translate(_URL_SAFE, b"=").decode()
        return RequestId(text, nonce, is_wide)

    def read(self, text: str) -> Answered | None:
        """Read an id of any pod of this deployment; None when it is none, or its key is not here any more."""
        raw = _decode(text)
        if raw is None or raw[:1] not in _VERSIONS:
            return None
        key = self._keys.find(raw[1 : 1 + FINGERPRINT_BYTES])
        if key is None:
            return None
        nonce = raw[1 + FINGERPRINT_BYTES : _FRONT_BYTES]
        try:
            inside = key.cipher.decrypt(nonce, raw[_FRONT_BYTES:], self._about)
        except InvalidTag:
            return None
        return _parse(nonce, inside, has_bucket=raw[:1] == _WITH_BUCKET)

    def _nonce(self) -> bytes:
        prefix, numbers = self._nonces
        number = next(numbers)
        if number >> 32:
            self._nonces = prefix, numbers = secrets.token_bytes(8), count()
            number = next(numbers)
        return prefix + number.to_bytes(4, "big")


def looks_like_an_id(text: str) -> bool:
    """Whether a text has the form of an id, whoever made it; a client's own ids have another."""
    raw = _decode(text)
    return raw is not None and raw[:1] in _VERSIONS


def short_digest(digest: str) -> bytes:
    """Give the first bytes of a digest, as ids have it.

    >>> short_digest("sha256:00ff00ff00ff00ffaa").hex()
    '00ff00ff00ff00ff'
    """
    try:
        return bytes.fromhex(digest.removeprefix("sha256:")[: 2 * DIGEST_BYTES]).ljust(DIGEST_BYTES, b"\0")
    except ValueError:
        return bytes(DIGEST_BYTES)


def _decode(text: str) -> bytes | None:
    if len(text) > MOST_TEXT or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) >= _FRONT_BYTES + _TAG_BYTES else None


def _parse(nonce: bytes, inside: bytes, *, has_bucket: bool) -> Answered | None:
    """Read what was sealed. Who knows the key may have sealed anything, so a form that is none is no id."""
    try:
        form, flags, decision, seconds, cell = _HEAD.unpack_from(inside)
        at = _HEAD.size + DIGEST_BYTES
        digest = inside[_HEAD.size : at].hex()
        end = at + 1 + inside[at]
        model = inside[at + 1 : end].decode(errors="replace")
        tolerance = None
        if flags & _REGRESSION:
            (tolerance,) = _TOLERANCE.unpack_from(inside, end)
            end += _TOLERANCE.size
        bucket = None
        if has_bucket:
            (bucket,) = _BUCKET.unpack_from(inside, end)
            end += _BUCKET.size
        address = ""
        if flags & _REMEMBERED:
            at, end = end, end + (16 if flags & _IPV6 else 4)
            address = str(ipaddress.ip_address(inside[at:end]))
        answers = unpack(form, inside[end:])
    except (struct.error, ValueError, IndexError, KeyError):
        return None
    number = None if decision == NO_DECISION else decision
    place = None if cell == NO_CELL else cell
    is_wide = bool(flags & _WIDE)
    return Answered(nonce, number, seconds, model, digest, tolerance, place, address, is_wide, answers, bucket)


def _mix(nonce: bytes) -> int:
    """Give 64 bits that look random. Source: Steele, Lea, Flood 2014, SplitMix64."""
    x = (int.from_bytes(nonce[:8], "big") + int.from_bytes(nonce[8:], "big") * 0x9E3779B97F4A7C15) & _WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)
