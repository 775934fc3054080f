"""Which changes are news, and for whom."""

from typing import Any

import pytest

from kingmaker.adapters.kinds import kinds
from kingmaker.handlers.interest import concerned, everybody
from kingmaker.kube.store import Change, Store
from kingmaker.ports import Key

CHURN = Key("ModelDeployment", "team", "churn")
FRAUD = Key("ModelDeployment", "team", "fraud")
TEAM = Key("Namespace", "team")
OURS = {"app.kubernetes.io/managed-by": "kingmaker"}
OF_CHURN = OURS | {"kingmaker.dev/deployment": "churn"}


class Scene:
    """A store, and the keys that its latest changes concern."""

    def __init__(self) -> None:
        self.store = Store(kinds())
        self.version = 0
        self.changes: list[Change] = []
        self.store.listen(self.changes.append)

    def put(self, kind: str, name: str, *, uid: str = "1", is_own: bool = False, **parts: Any) -> set[Key]:
        self.version += 1
        meta = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": str(self.version)}
        body = {"apiVersion": "v1", "kind": kind, "metadata": meta | parts.pop("metadata", {}), **parts}
        self.changes.clear()
        self.store.put(kind, body, is_own=is_own)
        return self.heard()

    def drop(self, kind: str, name: str) -> set[Key]:
        body = self.store.kinds[kind].get("team", name)
        assert body is not None
        self.version += 1
        self.changes.clear()
        meta = body["metadata"] | {"resourceVersion": str(self.version)}
        self.store.drop(kind, body | {"metadata": meta})
        return self.heard()

    def heard(self) -> set[Key]:
        return {key for change in self.changes for key in concerned(change, self.store)}

    def model(self, name: str, *, family: str = "churn", **status: Any) -> set[Key]:
        return self.put("Model", name, spec={"family": family}, status=status)

    def deployment(
        self, name: str, champion: str, *, status: Any = None, is_own: bool = False, **spec: Any
    ) -> set[Key]:
        spec = {"championRef": {"name": champion}, **spec}
        return self.put("ModelDeployment", name, spec=spec, status=status or {}, is_own=is_own)


def condition(kind: str, status: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}


def a_pod(scene: Scene, *, labels: dict[str, str] = OF_CHURN, ending: bool = False, **status: Any) -> set[Key]:
    marks = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if ending else {}
    return scene.put("Pod", "x", metadata={"labels": labels, **marks}, status=status)


RUNNING = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [condition("Ready", "False")]}


@pytest.mark.parametrize(
    "after",
    [
        RUNNING | {"conditions": [condition("Ready", "True")]},
        RUNNING | {"podIP": "10.0.0.2"},
        RUNNING | {"phase": "Failed"},
        RUNNING | {"ending": True},
    ],
    ids=["ready", "address", "ended", "ending"],
)
def test_what_a_pass_looks_at_in_a_pod_is_news(after: dict[str, Any]) -> None:
    scene = Scene()
    assert a_pod(scene, **RUNNING) == {CHURN}
    assert a_pod(scene, **after) == {CHURN}


def test_counts_and_times_are_no_news() -> None:
    scene = Scene()
    assert a_pod(scene, **RUNNING) == {CHURN}
    later = condition("Ready", "False") | {"lastTransitionTime": "2026-02-02T00:00:00Z"}
    assert (
        a_pod(scene, **RUNNING | {"conditions": [later, condition("PodScheduled", "True")], "qosClass": "x"}) == set()
    )


@pytest.mark.parametrize("kind", ["Service", "ConfigMap", "NetworkPolicy", "Deployment", "HorizontalPodAutoscaler"])
def test_somebodys_hand_on_a_child_is_news_with_or_without_a_generation(kind: str) -> None:
    scene = Scene()
    assert scene.put(kind, "churn-a", metadata={"labels": OF_CHURN}, spec={"x": 1}) == {CHURN}
    assert scene.put(kind, "churn-a", metadata={"labels": OF_CHURN}, spec={"x": 1}, status={"seen": 1}) == set()
    assert scene.put(kind, "churn-a", metadata={"labels": OF_CHURN}, spec={"x": 2}) == {CHURN}
    assert scene.put(kind, "churn-a", metadata={"labels": OURS}, spec={"x": 2}) == {CHURN}


def test_an_end_is_news_even_if_nothing_else_changed() -> None:
    scene = Scene()
    a_pod(scene, **RUNNING)
    assert scene.drop("Pod", "x") == {CHURN}


def test_our_own_ledger_wakes_nobody() -> None:
    scene = Scene()
    scene.put("ConfigMap", "churn-ledger", metadata={"labels": OF_CHURN}, data={"n": "1"}, is_own=True)
    found = scene.put("ConfigMap", "churn-ledger", metadata={"labels": OF_CHURN}, data={"n": "2"}, is_own=True)
    assert found == set()
    assert scene.put("ConfigMap", "churn-ledger", metadata={"labels": OF_CHURN}, data={"n": "3"}) == {CHURN}


def test_our_own_status_wakes_the_models_whose_role_changed_and_nobody_else() -> None:
    scene = Scene()
    scene.deployment("churn", "a")
    roles = {"variants": [{"name": "a", "role": "Champion"}]}
    assert scene.deployment("churn", "a", status=roles, is_own=True) == {Key("Model", "team", "a")}
    assert scene.deployment("churn", "a", status=roles | {"url": "x"}, is_own=True) == set()
    assert scene.deployment("churn", "b", status=roles) == {CHURN}


def test_a_model_wakes_who_refers_to_it_when_its_verdict_changes() -> None:
    scene = Scene()
    scene.deployment("churn", "a")
    scene.deployment("fraud", "other", challengers=[{"name": "x", "modelRef": {"name": "b"}}])
    own = Key("Model", "team", "a")
    assert scene.model("a") == {own, CHURN, TEAM}
    assert scene.model("a", conditions=[condition("Ready", "True")]) == {own, CHURN}
    assert scene.model("a", conditions=[condition("Ready", "True")], signature="x") == {own}
    assert scene.model("b", family="fraud") == {Key("Model", "team", "b"), FRAUD, TEAM}


def test_a_model_of_the_family_wakes_who_enrols() -> None:
    scene = Scene()
    scene.model("a")
    scene.model("f", family="fraud")
    scene.deployment("churn", "a", enrol={"selector": {}})
    scene.deployment("fraud", "f", enrol={"selector": {}})
    scene.deployment("closed", "a")
    assert scene.model("new") == {Key("Model", "team", "new"), CHURN, TEAM}


def test_a_verify_job_concerns_its_model_when_it_ends() -> None:
    scene = Scene()
    labels = OURS | {"app.kubernetes.io/component": "verify", "kingmaker.dev/model": "churn-1"}
    model = Key("Model", "team", "churn-1")
    assert scene.put("Job", "v", metadata={"labels": labels}, status={}) == {model}
    assert scene.put("Job", "v", metadata={"labels": labels}, status={"active": 1, "ready": 1}) == set()
    done = {"succeeded": 1, "conditions": [condition("Complete", "True")]}
    assert scene.put("Job", "v", metadata={"labels": labels}, status=done) == {model}


def test_a_foreign_service_concerns_the_deployment_that_needs_its_name() -> None:
    scene = Scene()
    assert scene.put("Service", "churn", spec={"clusterIP": "10.0.0.1"}) == set()
    scene.deployment("churn", "a")
    assert scene.put("Service", "churn", uid="2", spec={"clusterIP": "10.0.0.1"}) == {CHURN}
    assert scene.drop("Service", "churn") == {CHURN}


def test_everybody_is_asked_for_by_namespace_or_all_at_once() -> None:
    scene = Scene()
    scene.deployment("churn", "a")
    scene.model("a")
    assert set(everybody(scene.store, "")) == {CHURN, Key("Model", "team", "a"), TEAM}
    assert set(everybody(scene.store, "team")) == {CHURN, Key("Model", "team", "a"), TEAM}
    assert set(everybody(scene.store, "other")) == {Key("Namespace", "other")}


def test_what_is_left_in_a_namespace_is_a_reason_to_go_through_it() -> None:
    scene = Scene()
    scene.put("ServiceAccount", "kingmaker-workload", metadata={"labels": OURS})
    assert set(everybody(scene.store, "")) == {TEAM}


@pytest.mark.parametrize("component", ["router", "workload"])
def test_what_all_share_concerns_the_namespace_and_no_deployment(component: str) -> None:
    scene = Scene()
    scene.deployment("churn", "a")
    assert a_pod(scene, labels=OURS | {"app.kubernetes.io/component": component}, **RUNNING) == {TEAM}


def test_a_deployment_concerns_its_namespace_when_it_comes_and_goes_and_no_other_deployment() -> None:
    scene = Scene()
    scene.deployment("fraud", "a")
    assert scene.deployment("churn", "a") == {CHURN, TEAM}
    assert scene.deployment("churn", "b") == {CHURN}
    assert scene.drop("ModelDeployment", "churn") == {CHURN, TEAM}


def test_a_model_concerns_its_namespace_when_it_comes_and_goes() -> None:
    scene = Scene()
    assert scene.model("a") == {Key("Model", "team", "a"), TEAM}
    assert scene.model("a", conditions=[condition("Ready", "True")]) == {Key("Model", "team", "a")}
    assert scene.drop("Model", "a") == {Key("Model", "team", "a"), TEAM}
