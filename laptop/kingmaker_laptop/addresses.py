"""Give each cluster loopback networks of its own, for its Services and for its pods.

Services keep their addresses in etcd, so a cluster keeps its networks for life, also while it is down. Who has which is
written in one file of the user. Other users' clusters are seen by a socket that every running cluster holds.
"""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.files import read_json, write_private
from kingmaker_laptop.home import Home
from kingmaker_laptop.locks import locked

SLOTS: Final = 64
"""How many clusters there can be: each takes one of 127.100-163 and one of 127.180-243."""

_GUARD_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Addresses:
    """The networks of one cluster, named by a slot of 0..SLOTS-1."""

    slot: int

    @property
    def services(self) -> str:
        """Network of the cluster IPs."""
        return f"127.{100 + self.slot}.0.0/16"

    @property
    def first_service(self) -> str:
        """The address that Kubernetes gives its own Service `kubernetes`."""
        return f"127.{100 + self.slot}.0.1"

    @property
    def pods(self) -> str:
        """Network of the pod IPs."""
        return f"127.{180 + self.slot}.0.0/16"

    @property
    def first_port(self) -> int:
        """Where to look for free ports on 127.0.0.1, far enough from other clusters'."""
        return 20000 + 100 * self.slot

    def guard(self) -> socket.socket:
        """Hold the networks as long as the socket is open.

        Raises:
            OSError: Another running cluster holds them.
        """
        guard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            guard.bind((f"127.{100 + self.slot}.255.254", _GUARD_PORT))
        except OSError:
            guard.close()
            raise
        return guard


def claim_addresses(home: Home) -> tuple[Addresses, socket.socket]:
    """Give the home its networks, new ones the first time, and hold them.

    Raises:
        LocalError: Somebody else uses them now, or all are taken.
    """
    registry = _registry()
    with locked(registry.with_suffix(".lock")):
        owners = _living(read_json(registry), home)
        kept = [slot for slot, owner in owners.items() if owner == home.folder]
        addresses, guard = _reuse(kept[0], home) if kept else _take_free(set(owners))
        owners[addresses.slot] = home.folder
        write_private(registry, json.dumps({str(slot): str(owner) for slot, owner in sorted(owners.items())}, indent=1))
    return addresses, guard


def _registry() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kingmaker" / "addresses.json"


def _living(document: dict[str, str], home: Home) -> dict[int, Path]:
    """Forget clusters whose objects are gone; the home's own claim stays."""
    owners = {int(slot): Path(owner) for slot, owner in document.items()}
    return {slot: owner for slot, owner in owners.items() if owner == home.folder or Home(owner).etcd.exists()}


def _reuse(slot: int, home: Home) -> tuple[Addresses, socket.socket]:
    addresses = Addresses(slot)
    try:
        return addresses, addresses.guard()
    except OSError as error:
        raise LocalError(
            f"{home.folder}: its network {addresses.services} is in use by another cluster on this machine; "
            "end that one, or choose another --dir"
        ) from error


def _take_free(taken: set[int]) -> tuple[Addresses, socket.socket]:
    for slot in range(SLOTS):
        if slot not in taken:
            try:
                addresses = Addresses(slot)
                return addresses, addresses.guard()
            except OSError:
                continue
    raise LocalError(f"all {SLOTS} address ranges have a cluster; delete the --dir of one you no longer need")
