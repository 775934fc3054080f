"""One router's stream: what to send it next, so that requests always have somewhere to go. No I/O.

Make before break. New clusters and their endpoints go first. The route table follows once the router accepted both:
no route ever names a cluster that it refused or does not know. Clusters that no table names any more go last, once
the router accepted the table that does without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kingmaker.routing.channel import Channel, Sent
from kingmaker.routing.clusters import cluster, cluster_name
from kingmaker.routing.model import Backend, Endpoint
from kingmaker.routing.snapshot import CDS, EDS, LDS, RDS, Resources, Snapshot

_ORDER: Final = (CDS, EDS, LDS, RDS)


@dataclass(frozen=True, slots=True)
class AcknowledgedRoute:
    """What a router certainly does with a deployment's requests.

    Attributes:
        decision: What it stamps on them.
        weights: Percent by model, zeros included.
        endpoints: By model; a model is absent while the router may have one set of endpoints or another.
    """

    decision: int
    weights: Mapping[str, int]
    endpoints: Mapping[str, frozenset[Endpoint]]


@dataclass(frozen=True, slots=True)
class Push:
    """One response to send."""

    type_url: str
    nonce: str
    resources: Resources


class Stream:
    """The state of one router's stream."""

    def __init__(self, address: str) -> None:
        """Begin with a router at this IP address that has said nothing yet."""
        self._address = address
        self._channels = {url: Channel() for url in _ORDER}
        self._nonce = 0
        self._target: Snapshot | None = None
        self._inherited: frozenset[str] | None = None
        self._known: dict[str, AcknowledgedRoute] | None = None

    def retarget(self, snapshot: Snapshot) -> None:
        """Set what the router shall know."""
        self._target = snapshot

    def receive(self, type_url: str, *, version: str, nonce: str, names: frozenset[str], error: str | None) -> bool:
        """Take a request; True when what is known about the router changed. Unknown types are ignored."""
        channel = self._channels.get(type_url)
        if channel is None:
            return False
        if type_url == EDS and channel.names is None and self._channels[CDS].held:
            self._inherited = names
        settled = channel.receive(version=version, nonce=nonce, names=names, error=error)
        if settled:
            self._known = None
        return settled

    @property
    def tells_more(self) -> bool:
        """Whether to wait for the router to say which clusters it has.

        A router that comes back says so by the endpoints it asks for, right after its first request. Its table, unknown
        to this server, may still name any of them, so they stay until it has accepted a new table.
        """
        return bool(self._channels[CDS].held) and self._inherited is None

    def stop_waiting(self) -> None:
        """Take it that the router has no clusters."""
        if self._inherited is None:
            self._inherited = frozenset()

    def insist(self) -> None:
        """Have what the router refused sent once more: what was in its way may be gone, a port in use for example."""
        for channel in self._channels.values():
            channel.due = channel.due or bool(channel.error and not channel.pending)

    def next_pushes(self) -> list[Push]:
        """Take the responses that are to be sent now, in this order; each is given once."""
        target = self._target
        if target is None or self.tells_more:
            return []
        pushes = [self._push(CDS, self._clusters(target), target)]
        pushes.append(self._push(EDS, target.endpoints, target))
        pushes.append(self._push(LDS, target.for_router(self._address)[LDS], target))
        if self._is_prepared(target):
            pushes.append(self._push(RDS, target.table, target))
        return [p for p in pushes if p is not None]

    def _clusters(self, target: Snapshot) -> Resources:
        """Give the clusters that the target needs and those that requests may still be sent to."""
        tables = self._channels[RDS]
        kept = set() if tables.accepted else set(self._inherited or ())
        kept.update(name for sent in tables.possible() for name in sent.snapshot.clusters.items)
        leaving = kept - target.clusters.items.keys()
        if not leaving:
            return target.clusters
        return Resources.of({**target.clusters.items, **{name: cluster(name) for name in leaving}})

    def _is_prepared(self, target: Snapshot) -> bool:
        """Whether the router has everything that the target's table names."""
        if not target.clusters.items:
            return True
        return self._channels[CDS].has(self._clusters(target)) and self._channels[EDS].has(target.endpoints)

    def _push(self, type_url: str, resources: Resources, target: Snapshot) -> Push | None:
        channel = self._channels[type_url]
        if not channel.wants(resources):
            return None
        self._nonce += 1
        sent = Sent(str(self._nonce), resources, target)
        channel.send(sent)
        self._known = None
        return Push(type_url, sent.nonce, resources)

    @property
    def error(self) -> str | None:
        """Why the router refused something, in its words; None when it has everything."""
        return next((c.error for c in self._channels.values() if c.error), None)

    def acknowledged(self) -> Mapping[str, AcknowledgedRoute]:
        """Tell, by deployment, what the router certainly does; what may be one way or another is left out."""
        if self._known is None:
            self._known = self._find_acknowledged()
        return self._known

    def _find_acknowledged(self) -> dict[str, AcknowledgedRoute]:
        if not self._channels[RDS].accepted:
            return {}
        tables = [s.snapshot.routes for s in self._channels[RDS].possible()]
        known = {}
        for name, route in tables[0].items():
            told = [_behaviour(t[name].decision, t[name].backends) if name in t else None for t in tables]
            if any(t != told[0] for t in told):
                continue
            weights = {b.model: b.weight for b in route.backends}
            endpoints = {b.model: self._endpoints(cluster_name(route, b.model), name, b.model) for b in route.backends}
            certain = {model: found for model, found in endpoints.items() if found is not None}
            known[name] = AcknowledgedRoute(route.decision, weights, certain)
        return known

    def _endpoints(self, cluster_id: str, deployment: str, model: str) -> frozenset[Endpoint] | None:
        """Give the endpoints that the router certainly has for a variant."""
        channel = self._channels[EDS]
        told = [s.resources.items.get(cluster_id) for s in channel.possible()]
        if not channel.accepted or any(t is None or t != told[0] for t in told):
            return None
        backends = channel.accepted.snapshot.routes[deployment].backends
        return next(frozenset(b.endpoints) for b in backends if b.model == model)


def _behaviour(decision: int, backends: tuple[Backend, ...]) -> tuple[int, dict[str, int]]:
    return decision, {b.model: b.weight for b in backends}
