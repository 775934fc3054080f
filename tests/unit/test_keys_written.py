"""How the keys of request ids are written: random, once, and without a look at what is there."""

import base64
from typing import Any

import pytest

from kingmaker.core.manifests.serving import keys_secret
from kingmaker.core.plan import CreateKeys
from kingmaker.ports import Body, ConflictError
from kingmaker.writes import Writer, is_final
from support.manifest_objects import a_deployment
from support.references import START


class Unreadable:
    """An API server that creates Secrets and shows none; anything else that is asked of it fails the test."""

    def __init__(self) -> None:
        self.created: dict[str, Body] = {}

    async def create_unread(self, body: Body) -> None:
        if body["metadata"]["name"] in self.created:
            raise ConflictError("it exists already", status=409, reason="AlreadyExists")
        self.created[body["metadata"]["name"]] = body


class Still:
    def now(self) -> Any:
        return START


async def create(cluster: Unreadable, uid: str) -> list[str]:
    writer = Writer(cluster, Still())  # type: ignore[arg-type]  # nothing else of it is used
    return await writer.act([CreateKeys(keys_secret(a_deployment(uid=uid)))], "ns", None)


async def test_every_deployment_gets_a_key_of_its_own_that_nobody_chose() -> None:
    cluster = Unreadable()
    for uid in ("one", "two"):
        assert await create(cluster, uid) == []
    contents = [base64.b64decode(key) for body in cluster.created.values() for key in body["data"].values()]
    assert [len(content) for content in contents] == [32, 32]
    assert contents[0] != contents[1]
    assert all(list(body["data"]) == [f"{START:%Y-%m-%dT%H-%M-%SZ}"] for body in cluster.created.values())


async def test_keys_that_are_there_stay_as_they_are() -> None:
    cluster = Unreadable()
    await create(cluster, "one")
    before = dict(cluster.created)
    assert await create(cluster, "one") == []
    assert cluster.created == before


async def test_who_leads_no_more_has_made_sure_of_nothing() -> None:
    class Fenced(Unreadable):
        async def create_unread(self, body: Body) -> None:
            raise ConflictError("not the leader", status=422, reason="Invalid")

    with pytest.raises(ConflictError):
        await create(Fenced(), "one")


def test_keys_can_be_made_without_a_last_look_at_their_owner() -> None:
    assert not is_final(CreateKeys({}))
