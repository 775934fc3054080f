"""When pods are asked for their counts, and what is remembered between two looks.

A ledger lives here. It is read from its ConfigMap once, after a start, and written when `Plan.store_ledger` says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from kingmaker.api import Model
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.counts.storage import load_ledger
from kingmaker.core.manifests.names import bounded
from kingmaker.core.manifests.objects import MODEL
from kingmaker.core.manifests.records import LEDGER
from kingmaker.core.serving.observe import has_ended
from kingmaker.core.state import State
from kingmaker.ports import Body, Clock, Key, PodAddress, Profiles

_BASELINE_RETRY: Final = timedelta(seconds=15)
"""Pods that do not answer take seconds; looks in a contest shall not wait for them every time."""

TimeBetweenLooks = Callable[[State], timedelta]


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a deployment's counts. `profiles` is empty unless the pods were asked just now (`scraped`)."""

    ledger: Ledger
    profiles: tuple[ProcessCounts, ...] = ()
    scraped: bool = False
    scraped_at: datetime | None = None
    baselines: Mapping[str, Baseline] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Remembered:
    uid: str
    ledger: Ledger
    scraped_at: datetime | None = None
    without_baseline: datetime | None = None
    """When no pod gave a baseline that is wanted, last."""


class Counting:
    """Looks at the counts of deployments."""

    def __init__(self, profiles: Profiles, clock: Clock, between: TimeBetweenLooks | None) -> None:
        """Take how much time shall pass between two looks in a state; None: pods are never asked."""
        self._profiles = profiles
        self._clock = clock
        self._between = between
        self._remembered: dict[Key, _Remembered] = {}
        self._baselines: dict[str, Baseline] = {}
        self._watched: dict[Key, frozenset[str]] = {}
        """Digests of the baselines that are kept for which deployment."""

    async def look(
        self, key: Key, uid: str, state: State, models: Mapping[str, Model], serving: list[Body], stored: Body | None
    ) -> Look:
        """Ask the pods when it is time to, else give what is known.

        Args:
            key: The deployment.
            uid: Its uid: another of the same name begins anew.
            state: What was decided; the baselines of the champion and of who contests its seat are read, and the time
                between looks depends on it.
            models: The namespace's Models.
            serving: The deployment's serving pods.
            stored: The ConfigMap with its ledger.
        """
        known = self._recall(key, uid, stored)
        now = self._clock.now()
        wanted = self._watch(key, state, models)
        if not self._between:
            return Look(known.ledger, baselines=self._baselines_of(wanted))
        between = self._between(state)
        # Each at a time of its own, from the start on: a new operator does not ask the pods of a whole fleet at once.
        looked = known.scraped_at or now - (1 - _phase(key)) * between
        # Passes come early by what a timer is late; a tenth of the time is no look too many.
        due = now >= looked + 0.9 * between
        self._remembered[key] = known = replace(known, scraped_at=now if due else looked)
        if not due:
            return Look(known.ledger, scraped_at=looked, baselines=self._baselines_of(wanted))
        await self._read_baselines(key, wanted, serving)
        baselines = self._baselines_of(wanted)
        profiles = await self._profiles.scrape(_addresses(serving), baselines)
        # Whoever else looked meanwhile was told to wait: one pass at a time works on a deployment.
        return Look(known.ledger, tuple(profiles), True, now, baselines)

    def remember(self, key: Key, ledger: Ledger) -> None:
        """Keep a ledger for the next look."""
        known = self._remembered.get(key)
        if known:
            self._remembered[key] = replace(known, ledger=ledger)

    def forget(self, key: Key) -> None:
        """Drop what is remembered about a deployment that is gone."""
        self._remembered.pop(key, None)
        if self._watched.pop(key, None):
            self._drop_unused()

    def _recall(self, key: Key, uid: str, stored: Body | None) -> _Remembered:
        known = self._remembered.get(key)
        if known is None or known.uid != uid:
            known = self._remembered[key] = _Remembered(uid, read_ledger(stored))
        elif stored is None and known.ledger.stored:
            # Somebody deleted it: the next pass stores it again.
            known = replace(known, ledger=replace(known.ledger, stored=None, unsaved=True))
        return known

    def _watch(self, key: Key, state: State, models: Mapping[str, Model]) -> dict[str, str]:
        """Give the models whose baselines are wanted, by digest, the champion first; what nobody has is forgotten."""
        names = [state.champion.name] if state.champion else []
        found = [(models[name], name) for name in (*names, *(c.model for c in state.contests)) if name in models]
        wanted: dict[str, str] = {}
        for model, name in found:
            if model.spec.baseline:
                wanted.setdefault(model.spec.baseline.digest, name)
        if self._watched.get(key, frozenset()) != wanted.keys():
            self._watched[key] = frozenset(wanted)
            self._drop_unused()
        return wanted

    def _drop_unused(self) -> None:
        used = frozenset().union(*self._watched.values())
        self._baselines = {digest: baseline for digest, baseline in self._baselines.items() if digest in used}

    def _baselines_of(self, wanted: Iterable[str]) -> dict[str, Baseline]:
        return {digest: self._baselines[digest] for digest in wanted if digest in self._baselines}

    async def _read_baselines(self, key: Key, wanted: Mapping[str, str], serving: list[Body]) -> None:
        known, now = self._remembered[key], self._clock.now()
        missing = [(digest, name) for digest, name in wanted.items() if digest not in self._baselines]
        if not missing or (known.without_baseline and now < known.without_baseline + _BASELINE_RETRY):
            return
        for digest, name in missing:
            pods = [pod for pod in serving if pod["metadata"]["labels"].get(MODEL) == bounded(name)]
            found = await self._profiles.baseline(_addresses(pods), digest)
            if found and any(digest in kept for kept in self._watched.values()):
                self._baselines[digest] = found
        complete = all(digest in self._baselines for digest in wanted)
        self._remembered[key] = replace(known, without_baseline=None if complete else now)


def _phase(key: Key) -> float:
    """Give a part of the time between two looks, 0..0.9: always the same of a deployment, another for each."""
    return 0.9 * zlib.crc32(str(key).encode()) / 2**32


def read_ledger(config_map: Body | None) -> Ledger:
    """Read a ledger from its ConfigMap; an empty one when there is none, or when it can't be read."""
    text = (config_map or {}).get("data", {}).get(LEDGER, "")
    try:
        return load_ledger(text) if text else Ledger()
    except ValueError:
        # Somebody edited it. Counting begins again; nothing is decided on what can't be read.
        return Ledger()


def _addresses(pods: Iterable[Body]) -> list[PodAddress]:
    return [
        PodAddress(p["metadata"]["uid"], p["status"]["podIP"], p["metadata"]["name"])
        for p in pods
        if p.get("status", {}).get("podIP") and not has_ended(p)
    ]
