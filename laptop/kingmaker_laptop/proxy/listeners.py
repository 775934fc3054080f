"""Listen where routes say, as long as there are pods behind; choose a pod for each connection."""

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from typing import Final

from kingmaker_laptop.proxy.relay import Inbound
from kingmaker_laptop.proxy.routes import Address, Route

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024


class Listener:
    """One Service port. It listens only while there are pods: with none, the kernel refuses connections at once."""

    def __init__(self, route: Route, tasks: set[asyncio.Task[None]]) -> None:
        self.route = route
        self._tasks = tasks
        self._next = 0
        self._server: asyncio.Server | None = None

    async def update(self, route: Route) -> None:
        """Use new targets for new connections; those that exist go on.

        Raises:
            OSError: The address can't be listened on.
        """
        self.route = route
        if not route.targets:
            self.close()
        elif self._server is None:
            host, port = route.listen
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Inbound(self._choose, self._tasks), host, port, backlog=_BACKLOG
            )

    def close(self) -> None:
        """Stop listening; connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _choose(self, client: str) -> Iterable[Address]:
        """All targets, beginning with the one whose turn it is, so that one that refuses isn't the last word."""
        targets = self.route.targets
        if not targets:
            return ()
        if self.route.is_sticky:
            ranked = sorted(targets, key=lambda target: hashlib.sha256(f"{client} {target}".encode()).digest())
            return tuple(ranked)
        first = self._next % len(targets)
        self._next = first + 1
        return targets[first:] + targets[:first]


class Listeners:
    """All Service ports of all namespaces."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_namespace: dict[str, dict[Address, Listener]] = {}

    async def show(self, namespace: str, routes: Iterable[Route]) -> list[tuple[Route, OSError]]:
        """Make one namespace's listeners match its routes; returns those that can't be listened on."""
        wanted = {route.listen: route for route in routes}
        current = self._by_namespace.setdefault(namespace, {})
        for address in [address for address in current if address not in wanted]:
            current.pop(address).close()
        failures = []
        for address, route in wanted.items():
            listener = current.setdefault(address, Listener(route, self._tasks))
            try:
                await listener.update(route)
            except OSError as error:
                failures.append((route, error))
        if not current:
            del self._by_namespace[namespace]
        return failures

    def close(self) -> None:
        """Stop listening everywhere."""
        for listeners in self._by_namespace.values():
            for listener in listeners.values():
                listener.close()
