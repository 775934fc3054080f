"""What can't be read, or takes for ever, takes nothing offline and hurts nobody else; and it is said."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from kingmaker.adapters.clock import SystemClock
from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.connection import connect
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.process import ProcessCounts
from kingmaker.core.plan import RoutePlan
from kingmaker.core.state import Champion, Run, Share, State, dump_state
from kingmaker.kube.client import KubeClient
from kingmaker.ports import Body, Key, PodAddress, RefusedError
from kingmaker.reconcile import Reconciler
from support.controlplane import CRDS, ControlPlane, running_control_plane
from support.every_manifest import TEMPLATE
from support.toldrouters import ToldRouters
from support.world import RULES

from .conftest import Home, a_deployment, a_model

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class NoCounts:
    """Pods that say nothing, or that never answer."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def scrape(self, pods: Iterable[PodAddress], baselines: Mapping[str, Baseline]) -> list[ProcessCounts]:
        del pods, baselines
        await self.answers.wait()
        return []

    async def baseline(self, pods: Iterable[PodAddress], digest: str) -> Baseline | None:
        del pods, digest
        return None


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane whose CRDs take anything, as those of a later release may that was rolled back."""
    with running_control_plane(tmp_path_factory.mktemp("lax")) as plane:
        for file in sorted(CRDS.glob("*.yaml")):
            body = yaml.safe_load(file.read_text())
            for version in body["spec"]["versions"]:
                anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                version["schema"] = {"openAPIV3Schema": anything}
            plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
        yield plane


@pytest.fixture
def home(lax: ControlPlane) -> Home:
    name = f"test-{secrets.token_hex(4)}"
    lax.kubectl("create", "namespace", name)
    return Home(lax, name)


class CountingCluster(KubernetesCluster):
    """Counts what is read, by kind."""

    def __init__(self, client: KubeClient) -> None:
        super().__init__(client)
        self.reads: Counter[str] = Counter()

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        self.reads[kind] += 1
        return await super().get(kind, namespace, name)

    async def list(self, kind: str, namespace: str, labels: Mapping[str, str] | None = None) -> list[Body]:
        self.reads[kind] += 1
        return await super().list(kind, namespace, labels)


class LateClock:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.late = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.late


class Case:
    """A new operator, and what it told the routers."""

    def __init__(self, home: Home, cluster: CountingCluster) -> None:
        self.home = home
        self.counts = NoCounts()
        self.told = ToldRouters()
        self.cluster = cluster
        self.clock = LateClock()
        self.reconcile = Reconciler(cluster, self.counts, self.told, self.clock, RULES)

    async def run(self, name: str, kind: str = "ModelDeployment") -> None:
        await self.reconcile(Key(kind, self.home.name, name))

    def route(self, name: str) -> RoutePlan:
        found = self.told.routes[name]
        assert found is not None, "offline"
        return found

    def serving(self, name: str, *states: State) -> None:
        """Have a deployment of Model m with a ready pod, and with these states on record."""
        self.home.apply(a_model("m"), a_deployment(name))
        uid = self.home.kubectl("get", "mdep", name, "-o", "jsonpath={.metadata.uid}")
        for state in states or (decided(1),):
            self.home.apply(a_record(name, uid, state.sequence, dump_state(state)))
        labels = {"kingmaker.dev/deployment-uid": uid, "kingmaker.dev/model": "m"}
        labels["app.kubernetes.io/component"] = "serving"
        spec = {"containers": [{"name": "serve", "image": "serving"}], "terminationGracePeriodSeconds": 0}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-pod", "labels": labels}, "spec": spec}
        self.home.kubectl("create", "-f", "-", text=json.dumps(pod))
        status = {
            "podIP": "10.1.2.3",
            "podIPs": [{"ip": "10.1.2.3"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        self.home.kubectl("patch", "pod", f"{name}-pod", *patch)

    def stalled(self, name: str) -> str:
        path = 'jsonpath={.status.conditions[?(@.type=="Stalled")].reason}'
        return self.home.kubectl("get", "mdep", name, "-o", path)

    def events(self) -> str:
        return self.home.kubectl("get", "events", "-o", "custom-columns=O:.involvedObject.name,M:.message")


def decided(sequence: int) -> State:
    return State(
        sequence=sequence,
        at=SINCE,
        observed_champion_ref="m",
        champion=Champion("m", "sha256:" + "a" * 64, SINCE, 1),
        traffic=(Share("m", 100),),
        traffic_sequence=sequence,
    )


def a_record(name: str, uid: str, sequence: int, outcome: str) -> dict[str, Any]:
    labels = {"kingmaker.dev/deployment": name, "kingmaker.dev/deployment-uid": uid}
    spec = {"deployment": name, "deploymentUid": uid, "sequence": sequence, "action": "Deploy", "outcome": outcome}
    spec |= {"reason": "FirstChampion", "actor": "Operator", "at": "2026-01-01T00:00:00Z", "message": "it serves"}
    head = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "Decision"}
    return {**head, "metadata": {"name": f"{name}-{sequence:06d}", "labels": labels}, "spec": spec}


@pytest.fixture
async def case(home: Home, lax: ControlPlane) -> AsyncIterator[Case]:
    async with await connect(str(lax.kubeconfig)) as client:
        yield Case(home, CountingCluster(client))


async def test_a_record_that_cant_be_read_leaves_the_split_of_the_one_before(case: Case) -> None:
    case.serving("a", decided(1))
    uid = case.home.kubectl("get", "mdep", "a", "-o", "jsonpath={.metadata.uid}")
    case.home.apply(a_record("a", uid, 2, '{"sequence": 2, "champion": "of a later release"}'))
    with pytest.raises(ValueError, match="a-000002"):
        await case.run("a")
    assert [(b.model, b.weight, b.endpoints) for b in case.route("a").backends] == [("m", 100, ("10.1.2.3",))]
    assert "a-000002 holds a state that this release can't read" in case.events()


async def test_a_deployment_that_cant_be_read_goes_on_serving(case: Case) -> None:
    case.serving("a")
    case.home.kubectl("patch", "mdep", "a", "--type=merge", "-p", '{"spec": {"serving": {"replicas": "many"}}}')
    with pytest.raises(ValueError, match="replicas"):
        await case.run("a")
    assert case.route("a").backends[0].endpoints == ("10.1.2.3",)
    assert "replicas" in case.events()


async def test_a_model_that_cant_be_read_stops_no_deployment(case: Case) -> None:
    case.serving("a")
    case.serving("b")
    case.home.apply(a_model("bad"))
    case.home.kubectl("patch", "mdl", "bad", "--type=merge", "-p", '{"spec": {"artifact": {"uri": 7}}}')
    spec = {"challengers": [{"name": "c", "modelRef": {"name": "bad"}}]}
    case.home.kubectl("patch", "mdep", "b", "--type=merge", "-p", json.dumps({"spec": spec}))
    with pytest.raises(ValueError, match="uri"):
        await case.run("bad", "Model")
    for name in ("a", "b"):
        await case.run(name)
        assert case.route(name).backends[0].endpoints == ("10.1.2.3",)
    assert "bad" in case.events()


async def test_a_champions_model_that_cant_be_read_leaves_it_serving_and_that_is_said(case: Case) -> None:
    case.serving("a")
    case.home.kubectl("patch", "mdl", "m", "--type=merge", "-p", '{"spec": {"artifact": {"uri": 7}}}')
    await case.run("a")
    assert case.route("a").backends[0].endpoints == ("10.1.2.3",)
    case.home.kubectl("patch", "mdep", "a", "--type=merge", "-p", '{"spec": {"championRef": {"name": "bad"}}}')
    case.home.apply(a_model("bad"))
    case.home.kubectl("patch", "mdl", "bad", "--type=merge", "-p", '{"spec": {"artifact": {"uri": 7}}}')
    await case.run("a")
    assert case.stalled("a") == "ChampionNotReady"


async def test_a_ledger_that_cant_be_read_is_begun_anew(case: Case) -> None:
    case.serving("a")
    uid = case.home.kubectl("get", "mdep", "a", "-o", "jsonpath={.metadata.uid}")
    labels = {"kingmaker.dev/deployment-uid": uid}
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a-ledger", "labels": labels}}
    case.home.apply({**head, "data": {"ledger.json": "\N{SNOWMAN}"}})
    await case.run("a")
    assert case.route("a").decision == 1


async def test_pods_that_never_answer_keep_no_route_from_the_routers(case: Case) -> None:
    case.serving("a")
    await case.run("a")
    case.told.routes.clear()
    case.counts.answers.clear()
    case.clock.late += RULES.evaluation
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await case.run("a")
    assert case.route("a").backends[0].endpoints == ("10.1.2.3",)


async def test_a_record_that_nobody_collects_is_said_and_blocks_no_more_once_it_is_gone(case: Case) -> None:
    case.serving("a", decided(1))
    orphan = a_record("a", "of-an-earlier-deployment", 2, dump_state(decided(2)))
    case.home.apply(a_model("n"), orphan)
    for _ in range(2):
        await case.run("a")
        assert case.stalled("a") == "NameTaken"
        assert case.route("a").decision == 1
    said = case.home.kubectl("get", "mdep", "a", "-o", "jsonpath={.status.conditions}")
    assert "Decision a-000002 exists and is somebody else's: delete or rename it" in said
    case.home.kubectl("delete", "decision", "a-000002")
    await case.run("a")
    assert case.stalled("a") != "NameTaken"


async def test_somebody_elses_job_of_the_runs_name_is_said_and_keeps_nothing_else_back(case: Case) -> None:
    run = Run(number=1, decision=1, at=SINCE, reason="Age", parent="m")
    case.serving("a", replace(decided(1), runs=(run,)))
    retraining = {"triggers": ["Age"], "maxAge": "90d", "output": {"uriPrefix": "s3://models/"}, "template": TEMPLATE}
    case.home.apply(a_deployment("a", retraining=retraining))
    pod = {"containers": [{"name": "theirs", "image": "theirs"}], "restartPolicy": "Never"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a-retrain-1"}}
    case.home.apply({**job, "spec": {"suspend": True, "template": {"spec": pod}}})
    await case.run("a")
    assert "Job a-retrain-1 exists and is somebody else's" in case.events()
    assert case.home.kubectl("get", "mdep", "a", "-o", "jsonpath={.status.champion.name}") == "m"


async def test_no_job_begins_before_the_policy_that_keeps_it_in(case: Case) -> None:
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "kingmaker-jobs"}}
    case.home.apply(a_model("m"), {**head, "spec": {"podSelector": {"matchLabels": {"theirs": "yes"}}}})
    with pytest.raises(RefusedError, match="no Job begins before it"):
        await case.run("m", "Model")
    assert not case.home.list("jobs")
    assert "NetworkPolicy kingmaker-jobs exists and is somebody else's" in case.events()
    case.home.kubectl("delete", "networkpolicy", "kingmaker-jobs")
    await case.reconcile(Key("Namespace", case.home.name))
    await case.run("m", "Model")
    assert len(case.home.list("jobs")) == 1


async def test_records_are_read_once(case: Case) -> None:
    # Beyond the retention, and of a number at which records are looked through.
    case.serving("a", decided(219), decided(220))
    await case.run("a")
    assert case.route("a").decision == 220
    before = case.cluster.reads["Decision"]
    await case.run("a")
    assert case.cluster.reads["Decision"] == before
