"""What a namespace has once, for all its ModelDeployments and Models: made for the first, removed after the last.

It is owned by nobody. An owner reference to each of many deployments would have each of them compare, and write, what
belongs to all; and who writes it while the last ones are deleted would leave it without any, for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kingmaker.api import API_VERSION
from kingmaker.core.manifests.names import JOBS, ROUTER, WORKLOAD
from kingmaker.core.manifests.objects import Manifest
from kingmaker.core.manifests.policies import job_network_policy, router_disruption_budget, router_network_policy
from kingmaker.core.manifests.router import RouterContainer, router_deployment, workload_service_account
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.observed import Body, RouterPod
from kingmaker.core.plan import Action, Delete
from kingmaker.core.serving.children import delete_object, write_objects
from kingmaker.core.serving.ownership import is_managed

SHARED: Final = (
    ("ServiceAccount", WORKLOAD),
    ("NetworkPolicy", JOBS),
    ("NetworkPolicy", ROUTER),
    ("PodDisruptionBudget", ROUTER),
    ("Deployment", ROUTER),
)
"""What a namespace has at most once, by (kind, name)."""


@dataclass(frozen=True, slots=True)
class ObservedNamespace:
    """One snapshot of a namespace.

    Attributes:
        name: Its name.
        deployments: Names of the ModelDeployments that are there and are not being deleted.
        models: Names of the Models likewise.
        shared: The live objects of `SHARED`, by (kind, name).
        routers: Pods of the router that have an address and have not ended.
    """

    name: str
    deployments: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    shared: Mapping[tuple[str, str], Body] = field(default_factory=dict)
    routers: tuple[RouterPod, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of this project is there any more."""
        return not (self.deployments or self.models or self.routers or self.shared)


@dataclass(frozen=True, slots=True)
class NamespacePlan:
    """What shall happen: first `writes`, in this order, then `removals`.

    A removal can't be undone, so it is made only when a second, live look at who is there says the same.
    """

    writes: tuple[Action, ...] = ()
    removals: tuple[Delete, ...] = ()


def decide_namespace(observed: ObservedNamespace, settings: Settings, router: RouterContainer) -> NamespacePlan:
    """Decide what a namespace shall have.

    Jobs and servers need a ServiceAccount and the Jobs' policy, from the first Model or ModelDeployment on; the router
    is there while there are ModelDeployments.

    Args:
        observed: The snapshot.
        settings: How the operator was started.
        router: What the router's container is told.
    """
    wanted = tuple(_wanted(observed, settings, router))
    ours = {key: body for key, body in observed.shared.items() if is_managed(body)}
    names = {(body["kind"], body["metadata"]["name"]) for body in wanted}
    settled = {key: body for key, body in ours.items() if not _is_owned(body)}
    return NamespacePlan(
        writes=write_objects(settled, wanted),
        removals=tuple(delete_object(body) for key, body in ours.items() if key not in names),
    )


def _wanted(observed: ObservedNamespace, settings: Settings, router: RouterContainer) -> Iterator[Manifest]:
    name = observed.name
    if observed.deployments or observed.models:
        yield workload_service_account(name, settings=settings)
        yield job_network_policy(name, settings=settings)
    if observed.deployments:
        # The policy goes first: no pod of the router shall run without it.
        yield router_network_policy(name, settings=settings)
        budget = router_disruption_budget(name, settings=settings)
        if budget:
            yield budget
        yield router_deployment(name, settings=settings, router=router)


def _is_owned(body: Body) -> bool:
    """Whether an earlier release gave it to all deployments together: applied without owners, it loses them."""
    return any(owner["apiVersion"] == API_VERSION for owner in body["metadata"].get("ownerReferences") or ())
