"""A small world for the decision core: values in, plans out, and what a cluster would make of them.

Pods of an applied Deployment come up, routers acknowledge what they are told, Jobs end as told, time moves when asked.
It is no API server: what depends on one is tested against the real one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kingmaker.api import Model, ModelDeployment, Reason
from kingmaker.core.counts.baseline import Baseline
from kingmaker.core.counts.data_monitor import DataMonitor
from kingmaker.core.counts.labels import read_labels
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.process import ProcessCounts, start_of
from kingmaker.core.counts.samples import read_samples
from kingmaker.core.counts.storage import dump_ledger, load_ledger
from kingmaker.core.counts.windows import Windows
from kingmaker.core.decide import Rules, decide
from kingmaker.core.manifests.router import RouterContainer
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Answers, Observed, ObservedJob, ObservedRouter, ObservedVariant, Trouble
from kingmaker.core.plan import Action, Create, CreateKeys, Delete, HandOver, Plan, RoutePlan, Scale
from kingmaker.core.serving.ownership import FIELD_MANAGER, scaled
from kingmaker.core.state import State, load_state

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(
    serving_image="serving", router_image="router", operator_namespace="system", xds_host="xds", xds_port=1
)
RULES = Rules(SETTINGS, RouterContainer(("--config",)), timedelta(seconds=1))
_OUTCOMES = ("correct", "wrong")


def digest(letter: str) -> str:
    return "sha256:" + (letter * 64)[:64]


def a_model(name: str, letter: str, *, family: str = "churn", ready: bool = True, **extra: Any) -> Model:
    conditions = []
    if ready:
        stamp = "2026-01-01T00:00:00Z"
        conditions = [{"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": stamp}]
    labels = extra.pop("labels", {})
    created = extra.pop("created", "2026-01-01T00:00:00Z")
    signature = extra.pop("signature", None)
    spec = {
        "family": family,
        "version": "1",
        "artifact": {"format": "ONNX", "uri": f"file:///m/{name}", "digest": digest(letter)},
        **extra,
    }
    meta = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": labels, "creationTimestamp": created}
    status = {"conditions": conditions, **({"signature": signature} if signature else {})}
    return Model.parse(
        {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "Model", "metadata": meta, "spec": spec, "status": status}
    )


def a_spec(champion: str = "a", **extra: Any) -> dict[str, Any]:
    stages = [
        {"name": "shadow", "shadowPercent": 100, "minDuration": "10s", "minRequests": 100},
        {"name": "canary", "weight": 5, "minDuration": "10s", "minRequests": 50},
        {"name": "half", "weight": 50, "minDuration": "10s", "minRequests": 100},
    ]
    contest = {"stages": stages, "rollbackWindow": "60s", "deadline": "1h"} | extra.pop("contest", {})
    return {"championRef": {"name": champion}, "contest": contest, "serving": {"replicas": 2}, **extra}


@dataclass
class World:
    """One deployment and its surroundings.

    `broken` models never get ready pods, `crashing` ones because their servers end; `frozen` routers acknowledge
    nothing. Without `load`, the pods that a model needs, its autoscaler keeps to its bounds alone; without `ready` all
    wanted pods are.
    """

    spec: dict[str, Any]
    models: dict[str, Model]
    now: datetime = START
    status: dict[str, Any] = field(default_factory=dict)
    records: list[Mapping[str, Any]] = field(default_factory=list)
    objects: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    ledger: Ledger = Ledger()
    """What the operator has in memory."""
    stored: str = ""
    """What is left of that after a crash."""
    route: RoutePlan | None = None
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    jobs: dict[str, ObservedJob] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    stalled: dict[str, str] = field(default_factory=dict)
    crashing: set[str] = field(default_factory=set)
    ready: dict[str, int] = field(default_factory=dict)
    load: dict[str, int] = field(default_factory=dict)
    frozen: bool = False
    settling: bool = False
    creates: Counter[str] = field(default_factory=Counter)
    deletes: Counter[str] = field(default_factory=Counter)
    generation: int = 1
    keys_made: datetime | None = None
    """When the operator saw to the keys of the request ids; forgotten by a crash."""
    secrets: set[str] = field(default_factory=set)
    answers: Answers = field(default_factory=dict)
    """What Prometheus servers answered."""
    watch: DataMonitor | None = None
    """What monitoring says; None lets it look at the counts."""

    @property
    def deployment(self) -> ModelDeployment:
        meta = {"name": "churn", "namespace": "ns", "uid": "uid-churn", "generation": self.generation}
        return ModelDeployment.parse(
            {
                "apiVersion": "kingmaker.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": meta,
                "spec": self.spec,
                "status": self.status,
            }
        )

    @property
    def state(self) -> State:
        return load_state(self.records[-1]["spec"]["outcome"]) if self.records else State()

    def observed(self) -> Observed:
        variants = {}
        for (kind, _), body in self.objects.items():
            model = body["metadata"]["labels"].get("kingmaker.dev/model")
            if kind == "Deployment" and model:
                wanted = body["spec"]["replicas"]
                ready = 0 if model in self.broken else self.ready.get(model, wanted)
                endpoints = tuple(f"10.0.{ord(model[0])}.{i}" for i in range(ready))
                crash = Trouble(Reason.PODS_FAILING, "container serve: keeps failing: exit code 1", crashes=True)
                variants[model] = ObservedVariant(
                    *(model, wanted, ready, endpoints, "10.96.0.1", self.stalled.get(model, "")),
                    trouble=crash if model in self.crashing else None,
                )
        weights = {b.model: b.weight for b in self.route.backends if b.weight} if self.route else {}
        router = ObservedRouter("router-1", ready=True, settling=self.settling)
        if self.route and not self.frozen:
            router = replace(router, decision=self.route.decision, weights=weights)
        profiles = tuple(
            ProcessCounts(
                f"pod-{name}",
                name,
                self.models[name].spec.artifact.digest,
                "",
                "1",
                read_samples(counts.items(), own=start_of(self.models[name].spec.artifact.digest))[0].own,
                labels=read_labels(counts.items(), own=start_of(self.models[name].spec.artifact.digest)),
            )
            for name, counts in self.counts.items()
        )
        return Observed(
            now=self.now,
            mdep=self.deployment,
            uid="uid-churn",
            state=self.state,
            models=self.models,
            children=self.objects,
            variants=variants,
            routers=(router,),
            jobs=self.jobs,
            ledger=replace(self.ledger, watch=self._watched(self.watch)) if self.watch else self.ledger,
            profiles=profiles,
            scraped=self.watch is None,
            pod_uids=frozenset(p.pod_uid for p in profiles),
            keys_made=self.keys_made,
            answers=self.answers,
        )

    def _watched(self, watch: DataMonitor) -> DataMonitor:
        """What monitoring says is about the champion of the moment."""
        champion = self.state.champion
        if champion is None:
            return watch
        baseline = Baseline("sha256:" + "b" * 64, 100, ())
        scales = [timedelta(hours=1)]
        windows = Windows.for_baseline(None, model=champion.digest, baseline=baseline, scales=scales, now=START)
        return replace(watch, windows=windows)

    def step(self, crash_after: int | None = None) -> Plan:
        """One pass, after the autoscalers' own; with `crash_after`, only that many of its writes happen."""
        for (kind, name), body in self.objects.items():
            if kind == "HorizontalPodAutoscaler":
                self._autoscale(body["spec"], self.objects["Deployment", name])
        plan = decide(self.observed(), RULES)
        # The order of `reconcile`: what crashes here crashes there.
        writes: list[Callable[[], None]] = []
        if plan.record is not None:
            writes.append(lambda: setattr(self, "route", plan.route_before))
            writes.append(lambda: self.records.append(plan.record or {}))
        writes.append(lambda: setattr(self, "route", plan.route))
        writes += [lambda action=action: self._act(action) for action in plan.actions]
        ledger = plan.ledger or self.ledger
        self.ledger = ledger
        if plan.store_ledger:
            writes.append(lambda: self._store(ledger))
        if plan.status is not None:
            writes.append(lambda: setattr(self, "status", json.loads(json.dumps(plan.status))))
        for write in writes[:crash_after]:
            write()
        if crash_after is not None:
            self.keys_made = None
            self.ledger = load_ledger(self.stored) if self.stored else Ledger()
        return plan

    def _store(self, ledger: Ledger) -> None:
        self.ledger = replace(ledger, stored=self.now, unsaved=False)
        self.stored = dump_ledger(self.ledger)

    def settle(self, limit: int = 50) -> World:
        """Pass after pass until nothing changes."""
        for _ in range(limit):
            plan = self.step()
            if plan.record is None and not plan.actions and plan.status is None and not plan.store_ledger:
                return self
        raise AssertionError(f"still changing after {limit} passes: {plan}")

    def wait(self, seconds: float) -> World:
        self.now += timedelta(seconds=seconds)
        return self.settle()

    def edit(self, **spec: Any) -> World:
        self.spec = self.spec | spec
        self.generation += 1
        return self

    def count(self, model: str, family: str, value: int, **labels: str) -> None:
        """Let the pod of `model` count; labels default to the decision that routes now."""
        labels = {"decision": str(self.state.traffic_sequence)} | labels
        text = ",".join(f'{k}="{v}"' for k, v in labels.items())
        self.counts.setdefault(model, Counter())[f"{family}{{{text}}}"] += value

    def answer(self, model: str, requests: int, *, wrong: int = 0, errors: int = 0, le: str = "0.005") -> None:
        """Let a model answer requests of one row each, all labelled."""
        self.count(model, "requests_total", requests - errors, outcome="ok")
        self.count(model, "requests_total", errors, outcome="server_error")
        self.count(model, "rows_total", requests - errors)
        self.count(model, "latency_total", requests, le=le)
        self.label(model, requests - errors - wrong, predicted="0", true="0")
        self.label(model, wrong, predicted="1", true="0")

    def label(self, model: str, requests: int, *, predicted: str, true: str, score: str = "") -> None:
        """Let labels of answered requests of one row arrive; the digest says who predicted."""
        outcome, wrong = ("correct", "0") if predicted == true else ("wrong", "1")
        digest = start_of(self.models[model].spec.artifact.digest)
        self.count(model, "feedback_total", requests, outcome=outcome)
        self.count(model, "feedback_requests_total", requests, wrong=wrong)
        cell = {"score": score, "predicted": predicted, "true": true, "outcome": outcome}
        self.count(model, "feedback_classes_total", requests, digest=digest, **cell)

    def judge(self, model: str, requests: int, *, wrong: int = 0, pod: str = "", **labels: str) -> None:
        """Let labels of requests come, of `wrong` ones that were wrong in all their rows, at a pod of any model."""
        about = labels if not pod or pod == model else {"digest": start_of(self.models[model].spec.artifact.digest)}
        for share, count in (("0", requests - wrong), ("1", wrong)):
            self.count(pod or model, "feedback_requests_total", count, wrong=share, **about)

    def shadow(
        self, champion: str, challenger: str, pairs: int, *, champion_wrong: int = 0, challenger_wrong: int = 0
    ) -> None:
        """Let the champion compare `pairs` rows with a challenger, all labelled; wrong ones are wrong alone."""
        apart = champion_wrong + challenger_wrong
        self.count(champion, "shadow_pairs_total", pairs - apart, challenger=challenger, result="agree")
        self.count(champion, "shadow_pairs_total", apart, challenger=challenger, result="disagree")
        for mine, theirs, value in ((0, 0, pairs - apart), (1, 0, champion_wrong), (0, 1, challenger_wrong)):
            outcomes = {"champion": _OUTCOMES[mine], "challenger_outcome": _OUTCOMES[theirs]}
            self.count(champion, "shadow_feedback_total", value, challenger=challenger, **outcomes)
            shares = {"wrong": str(mine), "challenger_wrong": str(theirs)}
            self.count(champion, "shadow_feedback_requests_total", value, challenger=challenger, **shares)
            cell = {"predicted": str(mine), "challenger_predicted": str(theirs), "true": "0"}
            self.count(champion, "shadow_feedback_classes_total", value, challenger=challenger, **cell)

    @property
    def actions(self) -> list[str]:
        return [r["spec"]["action"] for r in self.records]

    @property
    def last(self) -> Mapping[str, Any]:
        return self.records[-1]["spec"]

    def condition(self, kind: str) -> Mapping[str, Any]:
        return next(c for c in self.status["conditions"] if c["type"] == kind)

    @property
    def weights(self) -> dict[str, int]:
        return {b.model: b.weight for b in self.route.backends if b.weight} if self.route else {}

    def replicas(self, model: str) -> int:
        return self.objects["Deployment", f"churn-{model}"]["spec"]["replicas"]

    def autoscaler(self, model: str) -> Mapping[str, Any]:
        return self.objects["HorizontalPodAutoscaler", f"churn-{model}"]["spec"]

    def owners_of_replicas(self, model: str) -> set[str]:
        managed = self.objects["Deployment", f"churn-{model}"]["metadata"]["managedFields"]
        return {entry["manager"] for entry in managed}

    def _autoscale(self, spec: Mapping[str, Any], deployment: Mapping[str, Any]) -> None:
        has = deployment["spec"]["replicas"]
        wanted = self.load.get(deployment["metadata"]["labels"]["kingmaker.dev/model"], has)
        if spec["behavior"]["scaleDown"]["selectPolicy"] == "Disabled":
            wanted = max(wanted, has)
        wanted = min(max(wanted, spec["minReplicas"]), spec["maxReplicas"])
        if wanted != has:
            deployment["spec"]["replicas"] = wanted
            deployment["metadata"]["managedFields"] = [_owned("autoscaler", "Update")]

    def _act(self, action: Action) -> None:
        if isinstance(action, Delete):
            self.objects.pop((action.kind, action.name))
            self.deletes[action.kind] += 1
            return
        if isinstance(action, Scale):
            live = self.objects["Deployment", action.name]
            assert live["metadata"]["uid"] == action.uid
            self.objects["Deployment", action.name] = scaled(live, action.replicas, "")
            return
        if isinstance(action, CreateKeys):
            # That they are there already is fine, and all that the operator ever knows of them.
            self.creates["Secret"] += action.body["metadata"]["name"] not in self.secrets
            self.secrets.add(action.body["metadata"]["name"])
            self.keys_made = self.now
            return
        body = json.loads(json.dumps(action.body))
        key = (body["kind"], body["metadata"]["name"])
        if body["kind"] == "Deployment":
            _own(body, self.objects.get(key), action)
        if key not in self.objects:
            self.creates[body["kind"]] += 1
            body["metadata"].setdefault("uid", f"uid-{key[0]}-{key[1]}")
        if isinstance(action, Create) and body["kind"] == "Job":
            assert key[1] not in self.jobs, "a Job is created once"
            self.jobs[key[1]] = ObservedJob(key[1], "job-uid")
        if isinstance(action, Create) and body["kind"] == "Model":
            body["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
            self.models[key[1]] = Model.parse(body)
        else:
            self.objects[key] = {
                **body,
                "metadata": {**self.objects.get(key, {}).get("metadata", {}), **body["metadata"]},
            }


def _owned(manager: str, operation: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def _own(body: dict[str, Any], live: Mapping[str, Any] | None, action: Action) -> None:
    """Keep account of who says how many pods there are; a number that nobody says any more is 1."""
    before = live["metadata"]["managedFields"] if live else []
    others = [entry for entry in before if (entry["manager"], entry["operation"]) != (FIELD_MANAGER, "Apply")]
    if "replicas" in body["spec"]:
        others = others if live and live["spec"]["replicas"] == body["spec"]["replicas"] else []
        body["metadata"]["managedFields"] = [*others, _owned(FIELD_MANAGER, "Apply")]
        return
    if isinstance(action, HandOver):
        assert live is not None
        assert action.replicas == live["spec"]["replicas"]
        others = [*others, _owned("handover", "Apply")]
    body["metadata"]["managedFields"] = others
    body["spec"]["replicas"] = live["spec"]["replicas"] if live and others else 1
