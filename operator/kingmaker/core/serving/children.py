"""The Kubernetes objects of a deployment, and which of them have to be written or removed now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final

from kingmaker.api import Model, ModelDeployment
from kingmaker.core.contest.assessment import ContestAssessment
from kingmaker.core.contest.capacity import may_shrink
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.storage import dump_ledger
from kingmaker.core.identity import Same
from kingmaker.core.manifests.addresses import host_port
from kingmaker.core.manifests.autoscaler import autoscaler
from kingmaker.core.manifests.names import bounded, shadow_name, variant_name
from kingmaker.core.manifests.objects import Manifest, deployment_labels, manifest, owner
from kingmaker.core.manifests.policies import network_policy, pod_disruption_budget
from kingmaker.core.manifests.records import LEDGER
from kingmaker.core.manifests.router import deployment_service
from kingmaker.core.manifests.serving import (
    PORT,
    ShadowTarget,
    shadow_config_map,
    variant_deployment,
    variant_service,
)
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Body, Observed
from kingmaker.core.plan import Action, Apply, Delete, HandOver, Scale
from kingmaker.core.serving.diff import contains
from kingmaker.core.serving.ownership import applies_replicas, owns_replicas
from kingmaker.core.serving.peers import name_peers
from kingmaker.core.serving.traffic import TrafficAssessment, removable_variants
from kingmaker.core.state import State

VARIANT_KINDS: Final = ("HorizontalPodAutoscaler", "Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment")
"""Kinds of which every variant has an object under its name. The Deployment goes last: a variant is found by it."""

_REMEMBERED: Final = 256
"""Variants whose objects are remembered from pass to pass: those that are decided about every second, for who is quiet
is not. Live bodies and manifests are never changed."""


def wanted_children(contests: ContestAssessment, kept: Iterable[str], settings: Settings) -> Iterator[Manifest]:
    """Give every object that this deployment shall have; what its namespace has once is the namespace's own.

    Args:
        contests: The state, and how many pods each model needs in it.
        kept: Models whose pods shall run.
        settings: How the operator was started.
    """
    observed, state = contests.observed, contests.state
    yield _service(Same(observed.mdep))
    # Its pods do without until there is a champion, so it is not made to be written anew a moment later.
    if state.champion or ("ConfigMap", shadow_name(observed.mdep.metadata.name)) in observed.children:
        yield _shadow(observed, state)
    for name in kept:
        model = observed.models.get(name)
        # Where the Model was deleted, pods that serve go on as they are.
        if model is not None:
            yield from _variant(contests, model, settings)


@lru_cache(maxsize=_REMEMBERED)
def _service(mdep: Same[ModelDeployment]) -> Manifest:
    return deployment_service(mdep.value)


def _variant(contests: ContestAssessment, model: Model, settings: Settings) -> Iterator[Manifest]:
    observed, name = contests.observed, model.metadata.name
    mdep = observed.mdep
    serving = mdep.spec.serving
    replicas = serving.fixed_replicas
    needed = contests.needed_pods(name)
    if serving.autoscaling and _live(observed, "Deployment", name) is None:
        # It begins with as many as it needs; the next pass leaves the number to the autoscaler.
        replicas = needed
    deployment, *others = _lasting(Same(mdep), Same(model), replicas, settings)
    yield deployment
    if serving.autoscaling:
        shrinks = may_shrink(contests.state, name)
        yield autoscaler(mdep, name, serving.autoscaling, floor=needed, may_shrink=shrinks)
    yield from others


@lru_cache(maxsize=_REMEMBERED)
def _lasting(
    deployment: Same[ModelDeployment], served: Same[Model], replicas: int | None, settings: Settings
) -> tuple[Manifest, ...]:
    """Give what a variant has as long as nobody changes its specification: mostly that of the pass before."""
    mdep, name = deployment.value, served.value.metadata.name
    budget = pod_disruption_budget(mdep, name)
    return (
        variant_deployment(mdep, served.value, replicas=replicas, settings=settings),
        variant_service(mdep, name),
        network_policy(mdep, name, settings=settings),
        *([budget] if budget else ()),
    )


def _live(observed: Observed, kind: str, model: str) -> Body | None:
    return observed.children.get((kind, variant_name(observed.mdep.metadata.name, model)))


def _shadow(observed: Observed, state: State) -> Manifest:
    champion = state.champion.name if state.champion else ""
    targets = [
        ShadowTarget(
            model=share.model,
            digest=observed.digest_of(share.model),
            url=f"http://{host_port(ip, PORT)}",
            percent=share.shadow_percent,
        )
        for share in state.traffic
        if share.shadow_percent and (ip := observed.variant(share.model).service_ip)
    ]
    mdep = observed.mdep
    live = observed.children.get(("ConfigMap", shadow_name(mdep.metadata.name)))
    peers = name_peers(observed.variants.values(), live, observed.now)
    return shadow_config_map(mdep, decision=state.traffic_sequence, champion=champion, targets=targets, peers=peers)


def write_objects(live: Mapping[tuple[str, str], Body], wanted: Iterable[Manifest]) -> tuple[Action, ...]:
    """Apply what is missing or not as it should be; what is right is not written again.

    Args:
        live: The objects that are there, by (kind, name).
        wanted: The objects that shall be there.
    """
    writes = (_write(live.get((body["kind"], body["metadata"]["name"])), body) for body in wanted)
    return tuple(action for action in writes if action)


def _write(live: Body | None, body: Manifest) -> Action | None:
    if live is None:
        return Apply(body, is_new=True)
    return _write_deployment(live, body) if body["kind"] == "Deployment" else _write_rest(live, body)


def _write_deployment(live: Body, body: Manifest) -> Action | None:
    """Write it so that who says how many pods it has stays clear, and a number alone by itself."""
    meta, spec = live["metadata"], body["spec"]
    has, replicas = live["spec"]["replicas"], spec.get("replicas")
    if replicas is None:
        return HandOver(body, meta["uid"], has) if applies_replicas(live) else _write_rest(live, body)
    if replicas == has:
        return _write_rest(live, body) if owns_replicas(live) else Apply(body)
    differs = not contains(live, body | {"spec": spec | {"replicas": has}})
    return Apply(body) if differs else Scale(meta["name"], meta["uid"], replicas)


def _write_rest(live: Body, body: Manifest) -> Action | None:
    return None if _is_settled(Same(live), Same(body)) else Apply(body)


@lru_cache(maxsize=8 * _REMEMBERED)
def _is_settled(live: Same[Body], wanted: Same[Manifest]) -> bool:
    return contains(live.value, wanted.value)


def remove_autoscalers(observed: Observed, kept: Iterable[str]) -> tuple[Action, ...]:
    """Delete the autoscalers of variants whose number of pods is fixed now; it comes before the number is written.

    Args:
        observed: The snapshot.
        kept: Models whose pods shall run.
    """
    if observed.mdep.spec.serving.autoscaling:
        return ()
    found = (_live(observed, "HorizontalPodAutoscaler", model) for model in kept)
    return tuple(delete_object(body) for body in found if body)


def delete_object(body: Body) -> Delete:
    """Delete exactly this object."""
    meta = body["metadata"]
    return Delete(body["apiVersion"], body["kind"], meta["name"], meta["uid"])


def remove_variants(
    observed: Observed, state: State, traffic: TrafficAssessment, drain: timedelta
) -> tuple[Action, ...]:
    """Delete the objects of variants that nobody needs any more; the arguments are those of `removable_variants`."""
    actions: list[Action] = []
    for model in removable_variants(observed, state, traffic, drain):
        bodies = (_live(observed, kind, model) for kind in VARIANT_KINDS)
        actions += [delete_object(body) for body in bodies if body is not None]
    return tuple(actions)


def ledger_config_map(mdep: ModelDeployment, ledger: Ledger) -> Manifest:
    """Build the ConfigMap that keeps the counts over restarts of the operator.

    Args:
        mdep: Whose counts they are.
        ledger: The counts.
    """
    head = manifest(
        "v1",
        "ConfigMap",
        name=bounded(f"{mdep.metadata.name}-ledger"),
        namespace=mdep.metadata.namespace,
        labels=deployment_labels(mdep, "ledger"),
        owners=owner(mdep),
    )
    return head | {"data": {LEDGER: dump_ledger(ledger)}}
