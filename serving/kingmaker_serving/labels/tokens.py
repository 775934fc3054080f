"""Request ids: opaque, naming the pod and process that answered, and authenticated so that nobody can make one up."""

import base64
import binascii
import hmac
import ipaddress
import secrets
import struct
from dataclasses import dataclass
from typing import Final

_PLACE: Final = struct.Struct(">H4sQ")
_MAC_BYTES: Final = 16
_MAX_LENGTH: Final = 80


@dataclass(frozen=True, slots=True)
class Token:
    """What an id says: the address and management port of a pod, its process, and the request's number there."""

    address: str
    port: int
    process: bytes
    number: int


class Tokens:
    """Makes and reads the ids of one process; pods with the same key read each other's."""

    def __init__(self, *, key: bytes, address: str, port: int) -> None:
        """Take where this process can be reached.

        Args:
            key: Shared by the pods of a deployment; empty for a random one, which nobody else can read.
            address: IP address of this pod.
            port: Its management port.
        """
        self._key = key or secrets.token_bytes(32)
        self._address = ipaddress.ip_address(address)
        self._port = port
        # A restarted container has the same address, and has forgotten everything.
        self._process = secrets.token_bytes(4)

    def make(self, number: int) -> str:
        """Make the id of this process's request `number`."""
        body = self._address.packed + _PLACE.pack(self._port, self._process, number)
        return base64.urlsafe_b64encode(body + self._mac(body)).rstrip(b"=").decode()

    def read(self, text: str) -> Token | None:
        """Read an id of any pod; None when it is none, or was not made with this key."""
        if len(text) > _MAX_LENGTH or not text.isascii():
            return None
        try:
            content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        body, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        address = body[: -_PLACE.size]
        if len(address) not in {4, 16} or not hmac.compare_digest(mac, self._mac(body)):
            return None
        port, process, number = _PLACE.unpack(body[-_PLACE.size :])
        return Token(str(ipaddress.ip_address(address)), port, process, number)

    def is_own(self, token: Token) -> bool:
        """Whether this very process answered."""
        return self.is_here(token) and token.process == self._process

    def is_here(self, token: Token) -> bool:
        """Whether this pod answered, perhaps before it was restarted."""
        return (token.address, token.port) == (str(self._address), self._port)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]
