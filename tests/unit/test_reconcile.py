"""What one pass reads, in which order: what it waits for does not make the rest old."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.ports import Key, PodAddress
from kingmaker.reconcile import Reconciler
from support.world import RULES, a_spec

KEY = Key("ModelDeployment", "ns", "churn")
LABELS = {
    "kingmaker.dev/model": "a",
    "kingmaker.dev/deployment-uid": "uid-churn",
    "app.kubernetes.io/component": "serving",
}


def a_pod(name: str, ip: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    meta = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": LABELS}
    return {"kind": "Pod", "metadata": meta, "status": {"podIP": ip, "conditions": conditions}}


@dataclass
class Site:
    """An API server's objects, pods that take their time to answer, routers that are told, and the time."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    seconds: float = 0.0
    """How long pods take."""
    meanwhile: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)
    """What becomes of objects while pods are waited for; None: they go."""

    async def get(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        del namespace
        return self.objects.get((kind, name))

    async def scrape(self, pods: Iterable[PodAddress], baselines: Mapping[str, Baseline]) -> list[ProcessCounts]:
        self.time += timedelta(seconds=self.seconds)
        for place, body in self.meanwhile.items():
            if body is None:
                self.objects.pop(place, None)
            else:
                self.objects[place] = body
        return [ProcessCounts(pod.uid, "a", "sha256:a", "", "1.000") for pod in pods]

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        return None

    def now(self) -> datetime:
        return self.time

    def routers(self, namespace: str, deployment: str) -> tuple[()]:
        return ()

    def keep_route(self, namespace: str, deployment: str, route: object) -> None:
        """Nobody is told."""

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
        del namespace
        bodies = [body for (k, _), body in self.objects.items() if k == kind]
        return [b for b in bodies if (labels or {}).items() <= b["metadata"].get("labels", {}).items()]

    async def get_live(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return await self.get(kind, namespace, name)

    async def holder(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        return await self.get(kind, namespace, name)

    async def users_of(self, namespace: str, model: str) -> tuple[()]:
        return ()

    async def apply(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        meta = {**body["metadata"], "uid": f"uid-{body['metadata']['name']}"}
        self.objects[body["kind"], meta["name"]] = {**body, "metadata": meta}
        return self.objects[body["kind"], meta["name"]]

    async def apply_status(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        place = (body["kind"], body["metadata"]["name"])
        self.objects[place] = {**self.objects[place], "status": body["status"]}
        return self.objects[place]

    async def emit(self, about: Mapping[str, Any], **event: Any) -> None:
        """Nobody reads it."""

    def set_namespace(self, namespace: str, **known: Any) -> None:
        """Nobody is told."""

    def set_route(self, namespace: str, deployment: str, route: object) -> None:
        """Nobody is told."""


def a_site(**changes: Any) -> Site:
    meta = {"name": "churn", "namespace": "ns", "uid": "uid-churn", "generation": 1}
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment"}
    site = Site(**changes)
    site.objects["ModelDeployment", "churn"] = {**head, "metadata": meta, "spec": a_spec()}
    site.objects["Pod", "one"] = a_pod("one", "10.0.0.1")
    return site


async def observe(site: Site) -> Any:
    """Observe when it is time to look at the pods."""
    reconciler = Reconciler(site, site, site, site, RULES)
    await reconciler._observe(KEY)
    site.time += RULES.evaluation
    found = await reconciler._observe(KEY)
    return found[0] if found else None


async def test_pods_that_came_and_went_while_counts_were_waited_for_are_seen() -> None:
    site = a_site(seconds=2.0, meanwhile={("Pod", "one"): None, ("Pod", "two"): a_pod("two", "10.0.0.2")})
    observed = await observe(site)
    assert observed.variants["a"].endpoints == ("10.0.0.2",)
    assert observed.pod_uids == {"uid-two"}
    assert [counts.pod_uid for counts in observed.profiles] == ["uid-one"]
    assert observed.now == site.time


async def test_where_pods_answer_at_once_nothing_is_read_twice() -> None:
    observed = await observe(a_site(meanwhile={("Pod", "one"): None}))
    assert observed.variants["a"].endpoints == ("10.0.0.1",)


async def test_a_deployment_that_went_while_counts_were_waited_for_is_gone() -> None:
    assert await observe(a_site(seconds=2.0, meanwhile={("ModelDeployment", "churn"): None})) is None


async def test_another_deployment_of_the_name_is_looked_at_for_itself() -> None:
    site = a_site(seconds=2.0)
    old = site.objects["ModelDeployment", "churn"]
    site.meanwhile = {("ModelDeployment", "churn"): {**old, "metadata": {**old["metadata"], "uid": "uid-new"}}}
    observed = await observe(site)
    assert (observed.uid, observed.profiles) == ("uid-new", ())


async def test_what_led_to_nothing_is_not_decided_about_again_before_its_time() -> None:
    site = a_site()
    reconciler = Reconciler(site, site, site, site, RULES)
    for _ in range(4):
        again = await reconciler(KEY)
    decided = reconciler.gauges[KEY]
    assert again is not None
    # Told that something happened, again and again: it did not, here.
    site.time = again - timedelta(seconds=0.2)
    assert await reconciler(KEY) == again
    assert reconciler.gauges[KEY] is decided

    site.objects["Pod", "two"] = a_pod("two", "10.0.0.2")
    await reconciler(KEY)
    assert reconciler.gauges[KEY] is not decided


async def test_what_led_to_nothing_is_decided_about_when_its_time_has_come() -> None:
    site = a_site()
    reconciler = Reconciler(site, site, site, site, RULES)
    for _ in range(4):
        again = await reconciler(KEY)
    decided = reconciler.gauges[KEY]
    assert again is not None
    site.time = again
    await reconciler(KEY)
    assert reconciler.gauges[KEY] is not decided
