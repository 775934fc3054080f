"""One loopback address per pod. Addresses go round the whole range before one is used again."""

import ipaddress
import json
from pathlib import Path


class NoAddressError(Exception):
    """Every address of the range is in use."""


class Addresses:
    """Hands out pod addresses.

    Args:
        network: IPv4 network inside 127.0.0.0/8.
        path: File that remembers where the round has got to, so that a restart doesn't begin anew.
    """

    def __init__(self, network: ipaddress.IPv4Network, path: Path) -> None:
        if not network.subnet_of(ipaddress.IPv4Network("127.0.0.0/8")):
            raise ValueError(f"pod CIDR {network} isn't inside 127.0.0.0/8, where addresses need no interface")
        self._network = network
        self._path = path
        self._used: set[str] = set()
        self._last = self._read_last()

    def claim(self, address: str) -> None:
        """Mark an address as used by a pod that was found again."""
        self._used.add(address)

    def take(self) -> str:
        """Hand out the next free address.

        Raises:
            NoAddressError: None is free.
        """
        size = self._network.num_addresses
        for step in range(1, size):
            index = (self._last + step) % size
            address = str(self._network[index])
            # Network and broadcast addresses work on loopback, but look like mistakes.
            if index % 256 in {0, 255} or address in self._used:
                continue
            self._used.add(address)
            self._last = index
            self._path.write_text(json.dumps({"last": index}))
            return address
        raise NoAddressError(f"all addresses of {self._network} are in use")

    def release(self, address: str) -> None:
        """Take an address back."""
        self._used.discard(address)

    def _read_last(self) -> int:
        try:
            return int(json.loads(self._path.read_text())["last"]) % self._network.num_addresses
        except (FileNotFoundError, ValueError, KeyError):
            return 0
