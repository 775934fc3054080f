"""Choose free ports on 127.0.0.1, the same ones again when they are still free."""

import contextlib
import json
import socket
from dataclasses import dataclass, fields
from typing import Final

from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.files import read_json, write_private
from kingmaker_laptop.home import Home

_END: Final = 32768


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1 of one cluster."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    node: int
    xds: int
    metrics: int


def choose_ports(home: Home, *, first: int) -> Ports:
    """Give free ports and keep them in the home.

    Args:
        home: Ports it kept stay as long as they are free.
        first: Where to look for others. Below 32768: from there on the kernel gives ports to outgoing connections,
            and a server that restarts could find its own port taken by one.

    Raises:
        LocalError: Nothing is free.
    """
    kept = read_json(home.ports)
    # All sockets stay open until the last port is chosen, else one port could be chosen twice.
    with contextlib.ExitStack() as held:
        listening = {field.name: _try_listen(kept.get(field.name)) for field in fields(Ports)}
        for name, again in listening.items():
            listening[name] = held.enter_context(again or _listen_from(first))
        chosen = {name: bound.getsockname()[1] for name, bound in listening.items() if bound}
    write_private(home.ports, json.dumps(chosen, indent=1) + "\n")
    return Ports(**chosen)


def read_ports(home: Home) -> Ports | None:
    """Read the ports that were chosen last; None before the first time."""
    kept = read_json(home.ports)
    if not all(isinstance(kept.get(field.name), int) for field in fields(Ports)):
        return None
    return Ports(**{field.name: kept[field.name] for field in fields(Ports)})


def _listen_from(first: int) -> socket.socket:
    for port in range(first, _END):
        if listening := _try_listen(port):
            return listening
    raise LocalError(f"no port from {first} to {_END - 1} is free on 127.0.0.1; end what uses them")


def _try_listen(port: object) -> socket.socket | None:
    """Listen on a port; None when it is taken or no port."""
    if not isinstance(port, int):
        return None
    listening = socket.socket()
    # Connections of the last run may linger in TIME_WAIT; they don't keep a server from its port.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        # Bound alone doesn't exclude others that set SO_REUSEADDR too; listening does.
        listening.listen(1)
    except OSError:
        listening.close()
        return None
    return listening
