"""Which objects an event concerns. Memory for speed alone: what is missed here the next look at the counts finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kingmaker.core.manifests.names import ROUTER
from kingmaker.core.manifests.objects import COMPONENT, DEPLOYMENT, MODEL
from kingmaker.ports import Key

Body = Mapping[str, Any]

_TELLING: Final = frozenset({"Ready", "Progressing", "ReplicaFailure", "Complete", "Failed"})
"""Conditions of pods, Deployments and Jobs that a pass looks at. Their counts change often and tell nothing more."""

_MOST_NEWS: Final = 100_000
"""Children whose last news is remembered; without a memory a pass too many is made, and none too few."""


@dataclass(slots=True)
class _Known:
    """What a deployment refers to: models by name, or any (`open`), and those that its status names."""

    refs: frozenset[str] = frozenset()
    open: bool = False
    variants: frozenset[str] = frozenset()


@dataclass(slots=True)
class Interest:
    """Remembers the deployments of every namespace and what they refer to."""

    _known: dict[str, dict[str, _Known]] = field(default_factory=dict)
    _ready: dict[Key, str] = field(default_factory=dict)
    _news: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def deployments(self, namespace: str) -> Iterator[Key]:
        """All deployments of a namespace: they share its router."""
        return (Key("ModelDeployment", namespace, name) for name in list(self._known.get(namespace, ())))

    def of_deployment(self, body: Body, *, deleted: bool) -> Iterator[Key]:
        """A deployment concerns itself, and the Models whose role in it changed."""
        meta, spec = body["metadata"], body.get("spec", {})
        namespace, name = meta["namespace"], meta["name"]
        known = self._known.setdefault(namespace, {})
        before = known.pop(name, _Known())
        variants = frozenset(v["name"] for v in body.get("status", {}).get("variants") or ())
        yield Key("ModelDeployment", namespace, name)
        if not deleted:
            challengers = {c["modelRef"]["name"] for c in spec.get("challengers") or ()}
            refs = frozenset({spec.get("championRef", {}).get("name", ""), *challengers})
            known[name] = _Known(refs, bool(spec.get("enrol") or spec.get("retraining")), variants)
        for model in before.variants | variants:
            yield Key("Model", namespace, model)
        if not before.refs or deleted:
            # The router's owners, and the moment from which its routes are complete, depend on who is there.
            yield from self.deployments(namespace)

    def of_model(self, body: Body, *, deleted: bool) -> Iterator[Key]:
        """A Model concerns itself, and who refers to it once its verdict changes."""
        meta = body["metadata"]
        key = Key("Model", meta["namespace"], meta["name"])
        conditions = body.get("status", {}).get("conditions") or ()
        verdict = "gone" if deleted else f"{meta['uid']} " + " ".join(f"{c['type']}={c['status']}" for c in conditions)
        yield key
        if self._ready.get(key) == verdict:
            return
        self._ready[key] = verdict
        if deleted:
            del self._ready[key]
        for name, known in self._known.get(key.namespace, {}).items():
            if known.open or key.name in known.refs | known.variants:
                yield Key("ModelDeployment", key.namespace, name)

    def of_child(self, body: Body, *, deleted: bool) -> Iterator[Key]:
        """A child concerns its owner, a router all in its namespace, once something changed that a pass looks at."""
        meta = body["metadata"]
        before, now = self._news.pop(meta["uid"], None), _news(body)
        if not deleted:
            if len(self._news) >= _MOST_NEWS:
                self._news.clear()
            self._news[meta["uid"]] = now
        if deleted or before != now:
            yield from self._concerned(meta)

    def _concerned(self, meta: Mapping[str, Any]) -> Iterator[Key]:
        labels = meta.get("labels") or {}
        if labels.get("app.kubernetes.io/name") == ROUTER:
            yield from self.deployments(meta["namespace"])
        elif DEPLOYMENT in labels:
            yield Key("ModelDeployment", meta["namespace"], labels[DEPLOYMENT])
        elif labels.get(COMPONENT) == "verify" and MODEL in labels:
            yield Key("Model", meta["namespace"], labels[MODEL])


def _news(body: Body) -> tuple[object, ...]:
    """What a pass looks at in a child that its kubelet or controller changes."""
    meta, status = body["metadata"], body.get("status", {})
    conditions = sorted(
        (c["type"], c["status"], c.get("reason", "")) for c in status.get("conditions") or () if c["type"] in _TELLING
    )
    ending = "deletionTimestamp" in meta
    return (meta.get("generation"), ending, status.get("podIP"), status.get("phase"), *conditions)
