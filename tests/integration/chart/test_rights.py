"""The operator's rights are those that its whole loop uses: none less, none more, by the API server's own record.

The chart's Roles are bound, its policies are in force, and the operator works with the token of one of its pods.
"""

import json
from pathlib import Path

import pytest
import yaml

from support.audit import Audit, granted, table
from support.helm import CHART
from support.loop import Loop, equals, eventually, running_loop
from support.team import TEAM


@pytest.mark.timeout(300)
async def test_the_whole_loop_uses_all_rights_and_asks_for_no_other(audit: Audit, tmp_path: Path) -> None:
    async with running_loop(audit.plane, tmp_path) as loop:
        await serve_and_scale(loop)
        await promote(loop)
        await retrain(loop)
        await complain_twice(loop)
        await decide_often(loop)
        await leave(loop)
    rights = granted(yaml.safe_load((CHART / "files" / "rules.yaml").read_text()))
    rights |= granted(yaml.safe_load((CHART / "files" / "lease-rules.yaml").read_text()))
    used = audit.used()
    print(f"\n{len(audit.events())} requests of the operator\n\n{table(used)}")
    # A quota refuses what the operator may do, and so does a namespace of an earlier test on its way out.
    excuses = ("exceeded quota: full", "because it is being terminated")
    assert not [request for request in audit.refused() if not any(excuse in request for excuse in excuses)]
    assert sorted(used - rights) == []
    assert sorted(rights - used) == []


async def serve_and_scale(loop: Loop) -> None:
    """Verify, serve, route; let the number of pods follow the load, and take it back."""
    await loop.model("a", "a")
    await loop.model("b", "b")
    await loop.seat()
    await eventually(lambda: equals(loop.traffic(), "100"))
    await loop.seat(serving={"autoscaling": {"minReplicas": 2, "maxReplicas": 6, "targetCPUPercent": 70}})
    scaler = ("apis/autoscaling/v2", "horizontalpodautoscalers/seat-a")
    await eventually(lambda: loop.exists(*scaler))
    await loop.seat(serving={"replicas": 3})
    await eventually(lambda: equals(loop.exists(*scaler), False))


async def promote(loop: Loop) -> None:
    """Change the champion; the old one's objects go."""
    await loop.seat("b")
    await eventually(lambda: equals(loop.champion(), "b"))
    await eventually(lambda: equals(loop.exists("apis/apps/v1", "deployments/seat-a"), False))


async def retrain(loop: Loop) -> None:
    """Train because the champion is old; what comes out is a Model."""
    template = {"image": "trainer"}
    output = {"uriPrefix": "s3://models/seat/"}
    await loop.seat("b", retraining={"triggers": ["Age"], "maxAge": "1s", "output": output, "template": template})
    await eventually(lambda: loop.exists("apis/kingmaker.dev/v1alpha1", "models/seat-r1"))
    await loop.seat("b")


async def complain_twice(loop: Loop) -> None:
    """Be refused the same thing again and again: an Event is counted up."""
    quotas = f"/api/v1/namespaces/{TEAM}/resourcequotas"
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"count/deployments.apps": "1"}}}
    await loop.client.create(quotas, quota)
    await eventually(lambda: counted(loop, f"{quotas}/full"))
    await loop.seat("b", challengers=[{"name": "a", "modelRef": {"name": "a"}, "weight": 10}])

    async def is_counted() -> bool:
        events = await loop.client.get(f"/api/v1/namespaces/{TEAM}/events")
        return any(e["reason"] == "Refused" and e["count"] > 1 for e in events["items"])

    await eventually(is_counted)
    await loop.client.delete(f"{quotas}/full", {})
    await loop.seat("b")


async def counted(loop: Loop, quota: str) -> bool:
    """Whether a quota says what it counts; before, it refuses everything in other words."""
    return bool((await loop.client.get(quota)).get("status", {}).get("used"))


async def decide_often(loop: Loop) -> None:
    """Decide until the oldest Decisions are deleted: a ModelDeployment keeps 200, and looks at every twentieth.

    Most of them are copies of one that the operator wrote, in its name: they would take minutes.
    """
    loop.name = "busy"
    await loop.seat("b")
    await eventually(lambda: equals(loop.traffic(), "100"))
    found = await loop.client.get(f"{loop.path('decisions')}/busy-000001")
    metadata = {key: found["metadata"][key] for key in ("labels", "ownerReferences")}
    for number in range(2, 219):
        outcome = json.dumps(json.loads(found["spec"]["outcome"]) | {"sequence": number})
        spec = found["spec"] | {"sequence": number, "outcome": outcome}
        body = {**found, "metadata": metadata | {"name": f"busy-{number:06d}"}, "spec": spec}
        await loop.operator.create(loop.path("decisions"), body)
    while len(numbers := await loop.decisions()) == numbers[-1]:
        await split(loop, 10 + numbers[-1] % 20)


async def leave(loop: Loop) -> None:
    """Delete what people applied; the namespace loses what it had once."""
    for plural in ("modeldeployments", "models"):
        for item in (await loop.client.get(loop.path(plural)))["items"]:
            await loop.client.delete(f"{loop.path(plural)}/{item['metadata']['name']}", {})
    await eventually(lambda: equals(loop.exists("api/v1", "serviceaccounts/kingmaker-workload"), False))


async def split(loop: Loop, weight: int) -> None:
    await loop.seat("b", challengers=[{"name": "a", "modelRef": {"name": "a"}, "weight": weight}])
    await eventually(lambda: equals(loop.traffic(), f"{100 - weight}/{weight}"))
