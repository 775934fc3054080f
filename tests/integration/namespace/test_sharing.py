"""What a namespace shares is the namespace's own: taken over from earlier releases, repaired, never somebody else's."""

import json

import pytest

from support.routers import eventually

from .conftest import ROUTER, WORKLOAD, Home, Operating, a_deployment, a_model

pytestmark = pytest.mark.timeout(300)

NAMES = {name.replace(" ", "/") for name in ROUTER | WORKLOAD}


def owners(home: Home) -> set[str]:
    items = json.loads(home.kubectl("get", *NAMES, "-o", "json"))["items"]
    return {owner["name"] for item in items for owner in item["metadata"].get("ownerReferences", ())}


def _read(home: Home, name: str) -> dict:
    return json.loads(home.kubectl("get", name, "-o", "json", "--show-managed-fields"))


async def test_what_an_earlier_release_gave_to_all_deployments_is_taken_over(home: Home, operating: Operating) -> None:
    async with operating():
        home.apply(a_model("m"), a_deployment("a"), a_deployment("b"))
        await home.has(ROUTER | WORKLOAD, "made")
    for name in NAMES:
        _give_away(home, name, "a", "b")
    assert owners(home) == {"a", "b"}
    async with operating():
        await eventually(lambda: not owners(home), "nobody's", seconds=60)
        home.kubectl("delete", "mdep", "a", "b")
        await home.has(WORKLOAD, "the router goes with the last")


def _give_away(home: Home, name: str, *deployments: str) -> None:
    """Apply it as earlier releases did: as the same field manager, owned by every ModelDeployment."""
    live = _read(home, name)
    uids = {one: home.kubectl("get", "mdep", one, "-o", "jsonpath={.metadata.uid}") for one in deployments}
    meta = {key: live["metadata"][key] for key in ("name", "namespace", "labels")}
    meta["ownerReferences"] = [
        {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "name": one, "uid": uid}
        for one, uid in uids.items()
    ]
    body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta}
    if "spec" in live:
        body["spec"] = live["spec"]
    flags = ("--server-side", "--force-conflicts", "--field-manager=kingmaker")
    home.kubectl("apply", *flags, "-f", "-", text=json.dumps(body))


async def test_what_is_deleted_by_hand_comes_back(home: Home, operating: Operating) -> None:
    async with operating():
        home.apply(a_model("m"), a_deployment("a"))
        await home.has(ROUTER | WORKLOAD, "made")
        home.kubectl("delete", *NAMES)
        await home.has(ROUTER | WORKLOAD, "made again")


async def test_what_is_somebody_elses_is_neither_changed_nor_removed_and_that_is_said(
    home: Home, operating: Operating
) -> None:
    theirs = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "kingmaker-workload"}}
    home.apply(theirs)
    async with operating():
        home.apply(a_model("m"), a_deployment("a"))
        await home.has(ROUTER | {"NetworkPolicy kingmaker-jobs"}, "made")
        said = "ServiceAccount kingmaker-workload exists and is somebody else's"
        await eventually(lambda: said in home.kubectl("get", "events"), said, seconds=60)
        home.kubectl("delete", "mdep,mdl", "--all", "--wait=false")
        await home.has(set(), "deleted")
        home.kubectl("get", "serviceaccount", "kingmaker-workload")
