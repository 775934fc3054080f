"""The newest record is read once, and again when somebody's hand may have changed it."""

from typing import Any

import pytest

from kingmaker.api import ModelDeployment
from kingmaker.core.manifests.objects import DEPLOYMENT_UID
from kingmaker.core.state import State, dump_state
from kingmaker.ports import ConflictError, UnavailableError
from kingmaker.snapshots.records import Records


class Decisions:
    """What an API server would answer about the Decisions of one namespace."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.reads = 0
        self.is_silent = False

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads += 1
        return self.stored.get(name)

    async def list(self, kind: str, namespace: str, labels: Any = None) -> list[dict[str, Any]]:
        self.reads += 1
        uid = (labels or {}).get(DEPLOYMENT_UID)
        return [body for body in self.stored.values() if body["spec"]["deploymentUid"] == uid]

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["metadata"]["name"] in self.stored:
            raise ConflictError("it exists", status=409)
        self.stored[body["metadata"]["name"]] = body
        if self.is_silent:
            raise UnavailableError("no answer")
        return body


def a_record(sequence: int) -> dict[str, Any]:
    spec = {"deploymentUid": "u", "sequence": sequence, "outcome": dump_state(State(sequence=sequence))}
    meta = {"name": f"churn-{sequence:06d}", "ownerReferences": [{"uid": "u"}]}
    return {"kind": "Decision", "metadata": meta, "spec": spec}


MDEP = ModelDeployment.parse(
    {
        "apiVersion": "kingmaker.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "churn", "namespace": "ns", "uid": "u"},
        "spec": {"championRef": {"name": "a"}},
    }
)


@pytest.fixture
def server() -> Decisions:
    return Decisions()


@pytest.fixture
async def records(server: Decisions) -> Records:
    records = Records(server)  # type: ignore[arg-type]
    await records.commit(a_record(1))
    return records


async def newest(records: Records) -> int:
    return (await records.latest(MDEP)).state.sequence


async def test_what_was_committed_is_not_read(server: Decisions, records: Records) -> None:
    assert [await newest(records), await newest(records), server.reads] == [1, 1, 0]


async def test_a_record_whose_creation_was_not_answered_is_looked_for(server: Decisions, records: Records) -> None:
    server.is_silent = True
    with pytest.raises(UnavailableError):
        await records.commit(a_record(2))
    assert await newest(records) == 2
    assert server.reads > 0


async def test_our_own_record_that_the_watch_tells_is_not_read(server: Decisions, records: Records) -> None:
    records.made("u", 1)
    assert [await newest(records), server.reads] == [1, 0]


async def test_what_somebody_else_did_is_read(server: Decisions, records: Records) -> None:
    server.stored |= {"churn-000002": a_record(2)}
    records.made("u", 2)
    assert await newest(records) == 2
    del server.stored["churn-000002"]
    records.removed("u", 2)
    assert await newest(records) == 1
    reads = server.reads
    records.removed("u", 0)
    assert [await newest(records), server.reads] == [1, reads]


async def test_after_a_gap_everything_is_read(server: Decisions, records: Records) -> None:
    server.stored.clear()
    records.missed()
    assert await newest(records) == 0


async def test_a_new_deployments_records_are_read_in_one_request(server: Decisions) -> None:
    assert [await newest(Records(server)), server.reads] == [0, 1]  # type: ignore[arg-type]


async def test_whose_name_is_taken_is_known_once_its_record_was_refused(server: Decisions) -> None:
    orphan = a_record(1)
    orphan["spec"] |= {"deploymentUid": "of an earlier one"}
    orphan["metadata"] = {"name": orphan["metadata"]["name"]}
    server.stored = {"churn-000001": orphan}
    records = Records(server)  # type: ignore[arg-type]
    assert (await records.latest(MDEP)).taken == ()
    with pytest.raises(ConflictError):
        await records.commit(a_record(1))
    for _ in range(2):
        found = await records.latest(MDEP)
        assert (found.state.sequence, found.taken) == (0, (("Decision", "churn-000001"),))
    # Somebody removed it.
    server.stored.clear()
    assert (await records.latest(MDEP)).taken == ()
    await records.commit(a_record(1))
    assert await newest(records) == 1
