"""The Kubernetes objects of a deployment, and which of them have to be written or removed now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from kingmaker.api import ModelDeployment
from kingmaker.core.diff import contains
from kingmaker.core.ledger import Ledger, dump_ledger
from kingmaker.core.manifests.names import bounded, variant_name
from kingmaker.core.manifests.objects import Manifest, deployment_labels, manifest, owner
from kingmaker.core.manifests.policies import (
    network_policy,
    pod_disruption_budget,
    router_disruption_budget,
    router_network_policy,
)
from kingmaker.core.manifests.router import deployment_service, router_deployment, workload_service_account
from kingmaker.core.manifests.serving import (
    ShadowTarget,
    shadow_config_map,
    variant_deployment,
    variant_service,
)
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Observed
from kingmaker.core.plan import Action, Apply, Delete
from kingmaker.core.state import State
from kingmaker.core.traffic import kept_variants, removable_variants

VARIANT_KINDS: Final = ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment")
"""Kinds of which every variant has an object under its name. The Deployment goes last: a variant is found by it."""


@dataclass(frozen=True, slots=True)
class RouterContainer:
    """How Envoy is started and stopped; the routing layer knows."""

    args: tuple[str, ...]
    lifecycle: Mapping[str, Any] | None = None
    startup_probe: Mapping[str, Any] | None = None


def wanted_children(
    observed: Observed, state: State, settings: Settings, router: RouterContainer
) -> Iterator[Manifest]:
    """Give every object that this deployment, and its namespace's router, shall have."""
    deployment = observed.deployment
    namespace = deployment.metadata.namespace
    siblings = observed.siblings
    models = [(m.metadata.name, m.metadata.uid) for m in observed.models.values()]
    yield workload_service_account(namespace, owners=siblings, models=models, settings=settings)
    yield router_deployment(
        namespace,
        owners=siblings,
        settings=settings,
        container_args=router.args,
        lifecycle=router.lifecycle,
        startup_probe=router.startup_probe,
    )
    yield router_network_policy(namespace, owners=siblings, settings=settings)
    router_budget = router_disruption_budget(namespace, owners=siblings, settings=settings)
    if router_budget:
        yield router_budget
    yield deployment_service(deployment)
    yield _shadow(observed, state)
    replicas = deployment.spec.serving.replicas
    for name in kept_variants(observed, state):
        model = observed.models.get(name)
        if model is None:
            # Its Model was deleted; pods that serve go on as they are.
            continue
        yield variant_deployment(deployment, model, replicas=replicas, settings=settings)
        yield variant_service(deployment, name)
        yield network_policy(deployment, name, settings=settings)
        budget = pod_disruption_budget(deployment, name, replicas=replicas)
        if budget:
            yield budget


def _shadow(observed: Observed, state: State) -> Manifest:
    champion = state.champion.name if state.champion else ""
    targets = [
        ShadowTarget(
            model=share.model,
            digest=observed.digest_of(share.model),
            url=f"http://{observed.variant(share.model).service_ip}:8080",
            percent=share.shadow_percent,
        )
        for share in state.traffic
        if share.shadow_percent and observed.variant(share.model).service_ip
    ]
    return shadow_config_map(observed.deployment, decision=state.traffic_sequence, champion=champion, targets=targets)


def write_children(observed: Observed, wanted: Iterable[Manifest]) -> tuple[Action, ...]:
    """Apply what is missing or not as it should be; what is right is not written again."""
    return tuple(
        Apply(body)
        for body in wanted
        if not contains(observed.children.get((body["kind"], body["metadata"]["name"])), body)
    )


def remove_variants(observed: Observed, state: State, drain: timedelta) -> tuple[Action, ...]:
    """Delete the objects of variants that nobody needs any more."""
    actions: list[Action] = []
    for model in removable_variants(observed, state, drain):
        name = variant_name(observed.deployment.metadata.name, model)
        for kind in VARIANT_KINDS:
            body = observed.children.get((kind, name))
            if body is not None:
                actions.append(Delete(body["apiVersion"], kind, name, body["metadata"]["uid"]))
    return tuple(actions)


LEDGER: Final = "ledger.json"
"""Key of the ledger in its ConfigMap."""


def ledger_config_map(deployment: ModelDeployment, ledger: Ledger) -> Manifest:
    """Build the ConfigMap that keeps the counts over restarts of the operator."""
    head = manifest(
        "v1",
        "ConfigMap",
        name=bounded(f"{deployment.metadata.name}-ledger"),
        namespace=deployment.metadata.namespace,
        labels=deployment_labels(deployment, "ledger"),
        owners=owner(deployment),
    )
    return head | {"data": {LEDGER: dump_ledger(ledger)}}
