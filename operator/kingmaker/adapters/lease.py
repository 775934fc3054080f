"""Leader election over one `coordination.k8s.io/v1` Lease. What to do when is decided in `core.election`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any, Final, NoReturn

from kingmaker.adapters.election import Candidate, Lease
from kingmaker.kube.client import KubeClient
from kingmaker.ports import Clock, ClusterError, ConflictError, NotFoundError

logger = logging.getLogger(__name__)

_API: Final = "coordination.k8s.io/v1"
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_RELEASE_SECONDS: Final = 2.0


class LeaseStore:
    """The Lease object. Every write names the version that it replaces, so that of two writers one fails."""

    def __init__(self, api: KubeClient, *, namespace: str, name: str) -> None:
        """Take a connection of its own: a renewal must not queue behind a hundred other requests."""
        self.name = name
        self._api = api
        self._collection = f"/apis/{_API}/namespaces/{namespace}/leases"
        self._metadata: dict[str, Any] = {"namespace": namespace, "name": name}

    async def read(self) -> Lease | None:
        """Read it; None when it does not exist."""
        try:
            return self._parse(await self._api.get(f"{self._collection}/{self.name}"))
        except NotFoundError:
            return None

    async def write(self, lease: Lease) -> Lease:
        """Create it, or replace the version that it names. One that was deleted is made anew: the API allows that here.

        Raises:
            ConflictError: Somebody was faster.
        """
        spec = {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.seconds,
            "acquireTime": lease.acquired,
            "renewTime": lease.renewed,
            "leaseTransitions": lease.epoch,
        }
        # Labels that others gave the object stay.
        metadata = {**self._metadata, "resourceVersion": lease.version}
        body = {"apiVersion": _API, "kind": "Lease", "metadata": metadata, "spec": spec}
        if not lease.version:
            del metadata["resourceVersion"]
            return self._parse(await self._api.create(self._collection, body))
        return self._parse(await self._api.replace(f"{self._collection}/{self.name}", body))

    def _parse(self, body: dict[str, Any]) -> Lease:
        metadata, spec = body["metadata"], body.get("spec") or {}
        keep = ("namespace", "name", "labels", "annotations", "ownerReferences")
        self._metadata = {key: metadata[key] for key in keep if key in metadata}
        return Lease(
            holder=spec.get("holderIdentity") or "",
            epoch=spec.get("leaseTransitions") or 0,
            seconds=spec.get("leaseDurationSeconds") or 1,
            acquired=spec.get("acquireTime") or "",
            renewed=spec.get("renewTime") or "",
            version=metadata["resourceVersion"],
        )


class Elector:
    """Wins the Lease, keeps it, gives it back.

    A process that lost it ends, and nothing that it still meant to do happens.
    """

    def __init__(self, store: LeaseStore, candidate: Candidate, clock: Clock, tick: Callable[[], float]) -> None:
        """Take the Lease, who runs for it, the time for people, and steady seconds."""
        self._store = store
        self._candidate = candidate
        self._clock = clock
        self._tick = tick
        self._told = ""

    @property
    def leads(self) -> bool:
        """Whether this process leads now."""
        return self._candidate.holds(self._tick())

    @property
    def epoch(self) -> int:
        """How often leadership changed, as far as seen."""
        return self._candidate.lease.epoch if self._candidate.lease else 0

    def describe(self) -> str:
        """Say for people who leads."""
        if self.leads:
            return f"leading: holds the lease {self._store.name}"
        holder = self._candidate.lease.holder if self._candidate.lease else ""
        return f"standing by: {holder or 'nobody'} holds the lease {self._store.name}"

    async def win(self) -> None:
        """Stand by until this process leads."""
        while not self.leads:
            try:
                await self._attempt()
            except ConflictError:
                logger.debug("somebody was faster")
            except ClusterError as error:
                self._tell(f"the lease {self._store.name} can't be had: {error}", logging.WARNING)
            if not self.leads:
                if self._candidate.lease and self._candidate.lease.holder:
                    self._tell(self.describe())
                await asyncio.sleep(self._candidate.wait(self._tick()))
        self._tell(f"{self.describe()} as {self._candidate.identity}, epoch {self.epoch}")

    async def keep(self) -> NoReturn:
        """Renew until cancelled; the process ends when it can't."""
        while True:
            await asyncio.sleep(self._candidate.terms.retry)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._left()):
                    await self._renew()
            self.permit()

    async def release(self) -> None:
        """Let the next one begin at once. Nothing may be written afterwards, and nothing is: see `permit`."""
        lease = self._candidate.release()
        self._candidate = self._candidate.resigned()
        if lease is None:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._store.write(lease)
            logger.info("released the lease %s", self._store.name)
        except (ClusterError, TimeoutError) as error:
            logger.warning("the lease %s is not released, it expires: %s", self._store.name, error)

    def permit(self) -> None:
        """Return while this process leads, by the clock; else end it, before anything else of it can happen."""
        if self.leads:
            return
        self._tell(f"not leading any more: {self._why()}; this process ends", logging.ERROR)
        os._exit(1)

    def _why(self) -> str:
        lease, renewed = self._candidate.lease, self._candidate.renewed
        if renewed is not None:
            return f"the lease {self._store.name} was renewed last {self._tick() - renewed:.1f} s ago"
        if lease is None or not lease.version:
            return f"the lease {self._store.name} was deleted"
        return f"{lease.holder or 'nobody'} holds the lease {self._store.name} in epoch {lease.epoch}"

    def _left(self) -> float:
        renewed = self._candidate.renewed
        return 0.0 if renewed is None else renewed + self._candidate.terms.deadline - self._tick()

    async def _renew(self) -> None:
        try:
            await self._claim()
        except ConflictError:
            # A renewal whose answer was lost, somebody's label, or another leader: the object says which.
            with contextlib.suppress(ClusterError):
                await self._attempt()
        except ClusterError as error:
            logger.warning("lease not renewed, %.1f s left: %s", self._left(), error)

    async def _attempt(self) -> None:
        leads = self._candidate.renewed is not None
        found = await self._store.read()
        self._candidate = self._candidate.saw(found, self._tick())
        if leads == (self._candidate.renewed is not None):
            await self._claim()

    async def _claim(self) -> None:
        sent = self._tick()
        claim = self._candidate.claim(sent, now=self._clock.now().strftime(_TIME))
        if claim:
            lease = await self._store.write(claim)
            self._candidate = self._candidate.wrote(lease, sent=sent, tick=self._tick())

    def _tell(self, what: str, level: int = logging.INFO) -> None:
        if what != self._told:
            self._told = what
            logger.log(level, what)
