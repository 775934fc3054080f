"""The Decisions of one ModelDeployment: the newest one's state is the truth."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kingmaker.api import ModelDeployment
from kingmaker.core.manifests.names import decision_name
from kingmaker.core.manifests.objects import DEPLOYMENT_UID
from kingmaker.core.state import State, load_state
from kingmaker.ports import Body, Cluster, ConflictError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Latest:
    """The state that holds. `taken` is (kind, name) of somebody else's record that has the next one's name."""

    state: State
    taken: tuple[tuple[str, str], ...] = ()


class Records:
    """Reads and writes Decisions.

    The newest state of each deployment is remembered: nobody but this process makes records, and a watch tells
    (`made`, `removed`, `missed`) when somebody's hand did.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Take the port."""
        self._cluster = cluster
        self._newest: dict[str, State] = {}
        self._refused: set[str] = set()
        """Deployments whose last record could not be created because its name is taken."""
        self._reading: set[str] = set()
        """Deployments whose records are being read, and nothing was told of them since that began."""

    async def commit(self, record: Body) -> None:
        """Create a record: from then on its state holds.

        Raises:
            ClusterError: It may have been created all the same; the next `latest` looks.
        """
        uid = record["spec"]["deploymentUid"]
        self._newest.pop(uid, None)
        try:
            await self._cluster.create(record)
        except ConflictError:
            self._refused.add(uid)
            raise
        self._newest[uid] = _state(record)
        self._refused.discard(uid)

    def made(self, uid: str, sequence: int) -> None:
        """Take in that the deployment with this uid has a record with this number."""
        if uid in self._newest and self._newest[uid].sequence < sequence:
            del self._newest[uid]
        self._reading.discard(uid)

    def removed(self, uid: str, sequence: int) -> None:
        """Take in that the record with this number is gone; only of the newest one it matters."""
        if uid in self._newest and self._newest[uid].sequence <= sequence:
            del self._newest[uid]
        self._reading.discard(uid)

    def missed(self) -> None:
        """Take in that for a while nobody told what became of the records."""
        self._newest.clear()
        self._reading.clear()

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a deployment that is gone."""
        self._newest.pop(uid, None)
        self._refused.discard(uid)

    async def latest(self, deployment: ModelDeployment) -> Latest:
        """Give the state of the newest record. It is read once: status tells where to look, else all records are read.

        Raises:
            ValueError: The record can't be read: what was decided is not known, so nothing may be.
        """
        meta = deployment.metadata
        if meta.uid in self._newest:
            return Latest(self._newest[meta.uid])
        self._reading.add(meta.uid)
        found = await self._read(deployment)
        if meta.uid in self._reading and not found.taken:
            self._newest[meta.uid] = found.state
        self._reading.discard(meta.uid)
        return found

    async def _read(self, deployment: ModelDeployment) -> Latest:
        meta = deployment.metadata
        known = deployment.status.last_decision_ref
        record = await self._cluster.get("Decision", meta.namespace, known.name) if known else None
        sequence = _sequence(record, meta.uid)
        if not sequence:
            records = await self.all(meta.namespace, meta.uid)
            record = max(records, key=_number, default=None)
            sequence = _sequence(record, meta.uid)
            if not sequence and meta.uid not in self._refused:
                # A new deployment's: whose the first one's name is, its creation tells.
                return Latest(State())
        while True:
            # Records that were committed just before a crash are newer than status.
            newer = await self._cluster.get("Decision", meta.namespace, decision_name(meta.name, sequence + 1))
            if not _sequence(newer, meta.uid):
                break
            record, sequence = newer, sequence + 1
        taken = (("Decision", newer["metadata"]["name"]),) if newer and _is_orphan(newer) else ()
        return Latest(_state(record) if record and sequence else State(), taken)

    async def last_readable(self, namespace: str, uid: str) -> State:
        """Read the state from the newest record that is one; the empty state when none is."""
        for record in sorted(await self.all(namespace, uid), key=_number, reverse=True):
            try:
                return _state(record)
            except ValueError as error:
                logger.warning("%s", error)
        return State()

    async def all(self, namespace: str, uid: str) -> list[Body]:
        """Read all records of the deployment with this uid, in any order."""
        return await self._cluster.list("Decision", namespace, {DEPLOYMENT_UID: uid})


def _state(record: Body) -> State:
    try:
        return load_state(record["spec"]["outcome"])
    except ValueError as error:
        name = record["metadata"]["name"]
        msg = f"Decision {name} holds a state that this release can't read: {' '.join(str(error).split())}"
        raise ValueError(msg) from error


def _number(record: Body) -> int:
    return int(record["spec"]["sequence"])


def _sequence(record: Body | None, uid: str) -> int:
    """Number of a record of this very deployment; 0 when it is none, or an older one's of the same name."""
    if record is None or record["spec"]["deploymentUid"] != uid:
        return 0
    return _number(record)


def _is_orphan(record: Body) -> bool:
    """Whether nobody will collect it: an earlier deployment of the name was deleted with `--cascade=orphan`."""
    return not record["metadata"].get("ownerReferences")


def name_and_uid(body: Body) -> tuple[str, str]:
    """Give what names exactly one object."""
    return body["metadata"]["name"], body["metadata"]["uid"]
