"""One resource type on one stream: what the router asked for, was sent, accepted and refused. Incremental xDS, no I/O.

Source: Envoy, "xDS REST and gRPC protocol", "Incremental xDS".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kingmaker.routing.resources import Resource

Holding: TypeAlias = Resource | str | None
"""What a router has under a name: a resource, an earlier process's resource of which only the version is known, or
nothing."""

_UNKNOWN: Final = "?"


@dataclass(frozen=True, slots=True)
class Request:
    """What a router says: which resources it wants (or no longer), and whether it takes the response `nonce`.

    Attributes:
        versions: By name, what it has from earlier streams; said in the first request of a type alone.
        error: Why it refuses the response; None when it accepts it.
    """

    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent: resources that are new or changed, and names of those that are gone."""

    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]


@dataclass(slots=True)
class _Entry:
    """What both sides know about one name.

    Attributes:
        held: What the router may have: one thing when that is certain.
        flying: What was sent and not answered, with its nonce, oldest first.
        refused: The version that it refused last, sent by itself; empty for a removal.
        error: Why.
        alone: The response that this was sent in was refused, and not all of it may be at fault.
    """

    held: tuple[Holding, ...] = (None,)
    flying: tuple[tuple[str, Resource | None], ...] = ()
    refused: str | None = None
    error: str | None = None
    alone: bool = False


class Channel:
    """What both sides know about one resource type."""

    def __init__(self, *, wildcard: bool, single: bool = False) -> None:
        """Begin a stream.

        Args:
            wildcard: The router takes all resources of this type, else those alone that it names.
            single: Send each in a response of its own, so that a refusal concerns nothing else.
        """
        self._wildcard = wildcard
        self._single = single
        self._entries: dict[str, _Entry] = {}
        self._queue: dict[str, Resource | None] = {}
        self._sent: dict[str, tuple[str, ...]] = {}
        self._refused: set[str] = set()
        self.asked = False
        """Whether the router asked for this type on this stream."""
        self.answer_due = False
        """Whether a response must be sent even if there is nothing to say: a router waits for its first."""

    @property
    def names(self) -> Collection[str]:
        """The names that the router has, may have, or asks for."""
        return self._entries.keys()

    def __contains__(self, name: str) -> bool:
        """Whether the router has it, may have it, or asks for it."""
        return name in self._entries

    def receive(self, request: Request) -> set[str]:
        """Take a request; give the names of which something else is known than before."""
        changed = self._settle(request.nonce, request.error)
        for name in request.unsubscribe:
            self.forget(name)
        if not self._wildcard:
            for name in request.subscribe:
                # Who asks once more for what it had has forgotten it, and what is under way may have come too early.
                self.forget(name)
                self._entries[name] = _Entry()
        if not self.asked:
            self.asked = True
            self.answer_due = self._wildcard
            for name, version in request.versions.items():
                self._entries[name] = _Entry(held=(version,))
            changed |= request.versions.keys()
        return changed | request.subscribe | request.unsubscribe

    def want(self, name: str, resource: Resource | None) -> None:
        """Have the router hold this, None: nothing, under a name; sent once if it is not what was sent or held last."""
        self._queue.pop(name, None)
        if not self.asked or not (self._wildcard or name in self._entries):
            return
        entry = self._entries.setdefault(name, _Entry())
        if entry.flying:
            is_told = _version(entry.flying[-1][1]) == _version(resource)
        else:
            is_told = len(entry.held) == 1 and _version(entry.held[0]) == _version(resource)
            if is_told:
                self._accept(name, entry, entry.held[0])
        if not is_told and entry.refused != _version(resource):
            self._queue[name] = resource

    def take(self, nonces: Iterable[str], *, may_be_empty: bool) -> list[Response]:
        """Take the responses that are due; each is given once.

        Args:
            nonces: Their names, never given before.
            may_be_empty: Whether a first response that is due may say nothing.
        """
        alone = [name for name in self._queue if self._single or self._entries[name].alone]
        rest = [name for name in self._queue if name not in set(alone)] if alone else list(self._queue)
        batches = [[name] for name in alone]
        if rest or (self.answer_due and not alone and may_be_empty):
            batches.insert(0, rest)
        responses = [self._send(nonce, names) for names, nonce in zip(batches, nonces, strict=False)]
        self.answer_due = self.answer_due and not responses
        self._queue.clear()
        return responses

    def insist(self) -> set[str]:
        """Forget what was refused, so that it is sent once more; give the names."""
        for name in self._refused:
            self._entries[name].refused = None
        return set(self._refused)

    def forget(self, name: str) -> None:
        """Take it that the router neither has nor wants anything under a name."""
        self._entries.pop(name, None)
        self._queue.pop(name, None)
        self._refused.discard(name)

    def suspect(self, name: str) -> None:
        """Take it that the router has something under a name, nobody knows what."""
        self._entries.setdefault(name, _Entry(held=(_UNKNOWN,)))

    def has(self, name: str, resource: Resource) -> bool:
        """Whether the router certainly has exactly this."""
        entry = self._entries.get(name)
        return entry is not None and not entry.flying and [_version(h) for h in entry.held] == [resource.version]

    def possible(self, name: str) -> tuple[Holding, ...]:
        """Tell what the router may have now under a name; one thing when that is certain."""
        entry = self._entries.get(name)
        return (*entry.held, *(resource for _, resource in entry.flying)) if entry else (None,)

    def error(self, name: str) -> str | None:
        """Tell why the router refused what it was sent last under a name; None when it did not."""
        entry = self._entries.get(name)
        return entry.error if entry else None

    @property
    def is_refused(self) -> bool:
        """Whether the router refused something and has not accepted anything in its place."""
        return bool(self._refused)

    def _send(self, nonce: str, names: list[str]) -> Response:
        resources, removed = [], []
        for name in names:
            resource = self._queue[name]
            self._entries[name].flying += ((nonce, resource),)
            if resource is None:
                removed.append(name)
            else:
                resources.append(resource)
        self._sent[nonce] = tuple(names)
        return Response(nonce, tuple(resources), tuple(removed))

    def _settle(self, nonce: str, error: str | None) -> set[str]:
        names = self._sent.pop(nonce, ())
        settled = set()
        for name in names:
            entry = self._entries.get(name)
            flown = [r for n, r in entry.flying if n == nonce] if entry else []
            # Else it unsubscribed or asked once more meanwhile.
            if entry and flown:
                settled.add(name)
                entry.flying = tuple((n, r) for n, r in entry.flying if n != nonce)
                if error is None:
                    self._accept(name, entry, flown[0])
                else:
                    self._refuse(name, entry, flown[0], error, shared=len(names) > 1)
        return settled

    def _accept(self, name: str, entry: _Entry, holding: Holding) -> None:
        entry.held = (holding,)
        entry.refused, entry.error, entry.alone = None, None, False
        self._refused.discard(name)
        if self._wildcard and holding is None and not entry.flying and name not in self._queue:
            del self._entries[name]

    def _refuse(self, name: str, entry: _Entry, resource: Resource | None, error: str, *, shared: bool) -> None:
        """Take down a refusal. Envoy may take some resources of a response that it refuses, so nothing is certain.

        Sent once more by itself, each resource is either taken or not, and what is well is not held up by what is not.
        """
        if shared:
            entry.held = tuple(dict.fromkeys((*entry.held, resource)))
            entry.alone = True
            return
        entry.refused, entry.error, entry.alone = _version(resource), error, True
        self._refused.add(name)


def _version(holding: Holding) -> str:
    if holding is None:
        return ""
    return holding if isinstance(holding, str) else holding.version
