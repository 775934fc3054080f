"""Objects in memory, fed by everything that says how an object is: lists, watches, answers to our own writes.

What is fed may come in any order, twice, or late. Each object goes only forward: of two states of one object the one
with the higher resourceVersion holds (they are integers, and comparable within a kind: KEP-5504). So a watch that lags
behind never takes back what a write's answer already said, and after a complete list nothing is left of what was
deleted while nobody watched, whether or not something else has its name by now.

The store is a value's keeper, not a task: it is fed and read in one event loop. Bodies are shared and never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kingmaker.kube.client import Document

Name = tuple[str, str]
"""Namespace and name."""

Indexer = Callable[[Document], Iterable[str]]
"""Gives the values under which an object is found."""

_MOST_GRAVES: Final = 20_000
"""Deletions that are remembered against late news of what was deleted; news are late by seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """An object that is new (`before` is None), changed, or gone (`after` is None).

    Attributes:
        kind: Its kind.
        before: Its last known state.
        after: Its state now; one with another uid when it was made anew.
        is_own: Whether the answer to a write of ours said so.
    """

    kind: str
    before: Document | None
    after: Document | None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class _Grave:
    """What was deleted: everything of its name up to `version`, or the one object with this `uid` for ever."""

    version: int
    uid: str = ""


@dataclass(slots=True)
class Kind:
    """How a kind is kept.

    Attributes:
        trim: Leaves out what nobody reads; the body that it is given stays as it is. What was trimmed is not changed by
            it.
        indices: By name; an object is found by each value that an indexer gives.
        labels: Labels by whose values objects are found.
        selector: Labels that an object must have: no watch tells of others, so they are not kept.
    """

    trim: Callable[[Document], Document] = lambda body: body
    indices: Mapping[str, Indexer] = field(default_factory=dict)
    labels: Sequence[str] = ()
    selector: Mapping[str, str] = field(default_factory=dict)


class Collection:
    """All objects of one kind."""

    def __init__(self, name: str, how: Kind) -> None:
        """Begin empty."""
        self.name = name
        self._how = how
        self._indexers: dict[str, Indexer] = {**how.indices, **{label: _label(label) for label in how.labels}}
        self._objects: dict[str, dict[str, Document]] = {}
        self._found: dict[tuple[str, str, str], dict[str, None]] = {}
        self._pieced: set[Name] = set()
        """Whose state is put together: the same version as a whole takes its place."""
        self._graves: dict[Name, _Grave] = {}
        self._listed: dict[str, int] = {}

    @property
    def has_all(self) -> bool:
        """Whether objects of everybody are kept, not only those with certain labels."""
        return not self._how.selector

    def trim(self, body: Document) -> Document:
        """Give of a body what is kept."""
        return self._how.trim(body)

    def __len__(self) -> int:
        """Count the objects."""
        return sum(map(len, self._objects.values()))

    def get(self, namespace: str, name: str) -> Document | None:
        """Give an object; None when there is none."""
        return self._objects.get(namespace, {}).get(name)

    def namespaces(self) -> list[str]:
        """Give the namespaces that have objects."""
        return list(self._objects)

    def all(self, namespace: str, labels: Mapping[str, str] | None = None) -> list[Document]:
        """Give the objects that have all these labels; quick where one of them is indexed."""
        wanted = labels or {}
        indexed = [self.by(label, namespace, value) for label, value in wanted.items() if label in self._how.labels]
        candidates = min(indexed, key=len, default=None)
        if candidates is None:
            candidates = list(self._objects.get(namespace, {}).values())
        return [body for body in candidates if _has(body, wanted)] if wanted else candidates

    def by(self, index: str, namespace: str, value: str) -> list[Document]:
        """Give the objects that an index has under a value."""
        objects = self._objects.get(namespace, {})
        return [objects[name] for name in self._found.get((index, namespace, value), ())]

    def put(self, body: Document, *, is_own: bool = False, is_whole: bool = True) -> Change | None:
        """Take in a state of an object; None when something newer is known of it.

        Args:
            body: The state.
            is_own: Whether the answer to a write of ours said so.
            is_whole: False where that answer told of this version only what was written, and the rest is of before.
        """
        if not _has(body, self._how.selector):
            return self.drop(body)
        key = _key(body)
        known = self.get(*key)
        if self._is_old(key, known, body):
            return None
        self._graves.pop(key, None)
        change = self._set(key, known, self._how.trim(body), is_own=is_own)
        if not is_whole:
            self._pieced.add(key)
        return change

    def _is_old(self, key: Name, known: Document | None, body: Document) -> bool:
        version = version_of(body)
        if known is not None:
            known_version = version_of(known)
            return known_version > version or (known_version == version and key not in self._pieced)
        grave = self._graves.get(key)
        if grave is not None and (version <= grave.version or body["metadata"]["uid"] == grave.uid):
            return True
        # Had it still been like this when all were listed, it would be known.
        return version <= max(self._listed.get("", 0), self._listed.get(key[0], 0))

    def drop(self, body: Document) -> Change | None:
        """Take in that an object was deleted, or left the selector, in this state."""
        key, version = _key(body), version_of(body)
        known = self.get(*key)
        if known is not None and version_of(known) > version:
            return None
        return self._bury(key, known, _Grave(version))

    def bury(self, namespace: str, name: str, uid: str) -> Change | None:
        """Take in that we deleted the object with this uid: nothing that is said of it holds any more."""
        key = (namespace, name)
        known = self.get(*key)
        if known is not None and known["metadata"]["uid"] != uid:
            return None
        return self._bury(key, known, _Grave(0 if known is None else version_of(known), uid), is_own=True)

    def miss(self, known: Document) -> Change | None:
        """Take in that an object was not there when it was read, after it was known as `known`."""
        key = _key(known)
        if self.get(*key) is not known:
            return None
        return self._bury(key, known, _Grave(version_of(known)))

    def replace(self, namespace: str, items: Iterable[Document], version: str) -> Iterator[Change]:
        """Take in a complete list of a namespace, or of all when it is empty, as it was at `version`."""
        there = set()
        for item in items:
            there.add(_key(item))
            change = self.put(item)
            if change:
                yield change
        moment = int(version)
        for space in [namespace] if namespace else self.namespaces():
            for name, known in list(self._objects.get(space, {}).items()):
                if (space, name) not in there and version_of(known) <= moment:
                    yield self._set((space, name), known, None)
        self._listed[namespace] = max(moment, self._listed.get(namespace, 0))

    def _set(self, key: Name, before: Document | None, after: Document | None, *, is_own: bool = False) -> Change:
        namespace, name = key
        self._pieced.discard(key)
        if before is not None:
            self._unindex(namespace, name, before)
        if after is None:
            del self._objects[namespace][name]
            if not self._objects[namespace]:
                del self._objects[namespace]
        else:
            self._objects.setdefault(namespace, {})[name] = after
            for index, indexer in self._indexers.items():
                for value in indexer(after):
                    self._found.setdefault((index, namespace, value), {})[name] = None
        return Change(self.name, before, after, is_own)

    def _unindex(self, namespace: str, name: str, body: Document) -> None:
        for index, indexer in self._indexers.items():
            for value in indexer(body):
                found = self._found.get((index, namespace, value), {})
                found.pop(name, None)
                if not found:
                    self._found.pop((index, namespace, value), None)

    def _bury(self, key: Name, known: Document | None, grave: _Grave, *, is_own: bool = False) -> Change | None:
        before = self._graves.pop(key, None)
        if before is not None:
            grave = _Grave(max(grave.version, before.version), grave.uid or before.uid)
        self._graves[key] = grave
        if len(self._graves) > _MOST_GRAVES:
            del self._graves[next(iter(self._graves))]
        return None if known is None else self._set(key, known, None, is_own=is_own)


class Store:
    """Collections by kind, who is told of changes, and which parts are complete."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        """Take the kinds that are kept, and how."""
        self.kinds = {name: Collection(name, how) for name, how in kinds.items()}
        self._listed: dict[str, set[str]] = {name: set() for name in kinds}
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Tell `listener` of every change, from now on. It must not block."""
        self._listeners.append(listener)

    def is_synced(self, namespace: str) -> bool:
        """Whether every kind was listed completely in this namespace, once at least."""
        return all("" in scopes or namespace in scopes for scopes in self._listed.values())

    def put(self, kind: str, body: Document, *, is_own: bool = False, is_whole: bool = True) -> None:
        """Take in a state of an object, from a watch, a read, or the answer to a write of ours: `Collection.put`."""
        self._tell(self.kinds[kind].put(body, is_own=is_own, is_whole=is_whole))

    def drop(self, kind: str, body: Document) -> None:
        """Take in from a watch that an object was deleted or left the selector."""
        self._tell(self.kinds[kind].drop(body))

    def bury(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Take in that we deleted an object."""
        self._tell(self.kinds[kind].bury(namespace, name, uid))

    def miss(self, kind: str, known: Document) -> None:
        """Take in that a read did not find an object that was known as `known` before."""
        self._tell(self.kinds[kind].miss(known))

    def replace(self, kind: str, namespace: str, items: Iterable[Document], version: str) -> None:
        """Take in a complete list; `namespace` is empty for all of them."""
        changes = list(self.kinds[kind].replace(namespace, items, version))
        self._listed[kind].add(namespace)
        for change in changes:
            self._tell(change)

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            for listener in self._listeners:
                listener(change)


def version_of(body: Document) -> int:
    """Give the resourceVersion of an object as the number that it is."""
    return int(body["metadata"]["resourceVersion"])


def _key(body: Document) -> Name:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _has(body: Document, labels: Mapping[str, str]) -> bool:
    there = body["metadata"].get("labels") or {}
    return all(there.get(label) == value for label, value in labels.items())


def _label(label: str) -> Indexer:
    def values(body: Document) -> Iterable[str]:
        value = (body["metadata"].get("labels") or {}).get(label)
        return () if value is None else (value,)

    return values
