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
    """When no pod gave the champion's baseline, last."""


class Counting:
    """Looks at the counts of deployments."""

    def __init__(self, profiles: Profiles, clock: Clock, between: TimeBetweenLooks | None) -> None:
        """Take how much time shall pass between two looks in a state; None: pods are never asked."""
        self._profiles = profiles
        self._clock = clock
        self._between = between
        self._remembered: dict[Key, _Remembered] = {}
        self._baselines: dict[str, Baseline] = {}
        self._watched: dict[Key, str] = {}
        """Whose baseline is kept for which deployment."""

    async def look(
        self, key: Key, uid: str, state: State, models: Mapping[str, Model], serving: list[Body], stored: Body | None
    ) -> Look:
        """Ask the pods when it is time to, else give what is known.

        Args:
            key: The deployment.
            uid: Its uid: another of the same name begins anew.
            state: What was decided; the champion's baseline is read, and the time between looks depends on it.
            models: The namespace's Models.
            serving: The deployment's serving pods.
            stored: The ConfigMap with its ledger.
        """
        known = self._recall(key, uid, stored)
        now = self._clock.now()
        digest = self._watch(key, state, models)
        if not self._between:
            return Look(known.ledger, baselines=self._baselines_of(digest))
        between = self._between(state)
        # Each at a time of its own, from the start on: a new operator does not ask the pods of a whole fleet at once.
        looked = known.scraped_at or now - (1 - _phase(key)) * between
        # Passes come early by what a timer is late; a tenth of the time is no look too many.
        due = now >= looked + 0.9 * between
        self._remembered[key] = known = replace(known, scraped_at=now if due else looked)
        if not due:
            return Look(known.ledger, scraped_at=looked, baselines=self._baselines_of(digest))
        await self._read_baseline(key, digest, state, serving)
        baselines = self._baselines_of(digest)
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

    def _watch(self, key: Key, state: State, models: Mapping[str, Model]) -> str:
        """Give the digest of the champion's baseline, empty without one; what no champion has is forgotten."""
        champion = models.get(state.champion.name) if state.champion else None
        digest = champion.spec.baseline.digest if champion and champion.spec.baseline else ""
        if self._watched.get(key, "") != digest:
            self._watched[key] = digest
            self._drop_unused()
        return digest

    def _drop_unused(self) -> None:
        used = set(self._watched.values())
        self._baselines = {digest: baseline for digest, baseline in self._baselines.items() if digest in used}

    def _baselines_of(self, digest: str) -> dict[str, Baseline]:
        return {digest: self._baselines[digest]} if digest in self._baselines else {}

    async def _read_baseline(self, key: Key, digest: str, state: State, serving: list[Body]) -> None:
        known, now = self._remembered[key], self._clock.now()
        if not digest or digest in self._baselines or state.champion is None:
            return
        if known.without_baseline and now < known.without_baseline + _BASELINE_RETRY:
            return
        name = bounded(state.champion.name)
        pods = [pod for pod in serving if pod["metadata"]["labels"].get(MODEL) == name]
        found = await self._profiles.baseline(_addresses(pods), digest)
        if found and digest in self._watched.values():
            self._baselines[digest] = found
        self._remembered[key] = replace(known, without_baseline=None if found else now)


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
