"""Who may reach whom, and how much of a variant may be away at once.

A NetworkPolicy speaks of pods, not of containers: what the init container needs to download, the server beside it may
reach as well. What it can't reach is another ModelDeployment's server, and the networks that the settings block.
`docs/security.md` has the table of who reaches what; a test proves it in a cluster that enforces policies.
"""

from kingmaker.api import ModelDeployment
from kingmaker.core.manifests.names import JOBS, ROUTER, variant_name
from kingmaker.core.manifests.objects import (
    COMPONENT,
    MANAGED,
    OPERATOR_SELECTOR,
    ROUTER_SELECTOR,
    Manifest,
    labels,
    manifest,
    owner,
    serving_selector,
)
from kingmaker.core.manifests.serving import GRPC_PORT, MANAGEMENT_PORT, PORT, variant_labels
from kingmaker.core.manifests.settings import Settings


def pod_disruption_budget(mdep: ModelDeployment, model: str) -> Manifest | None:
    """Let drains take one pod of a variant at a time; None where there is never more than a single one.

    It speaks of pods that are missing, not of those that stay, so it holds for any number that an autoscaler sets.
    """
    serving = mdep.spec.serving
    if (serving.autoscaling.max_replicas if serving.autoscaling else serving.fixed_replicas or 0) <= 1:
        return None
    name = variant_name(mdep.metadata.name, model)
    head = manifest(
        "policy/v1",
        "PodDisruptionBudget",
        name=name,
        namespace=mdep.metadata.namespace,
        labels=variant_labels(mdep, model),
        owners=owner(mdep),
    )
    return head | {"spec": _one_at_a_time(serving_selector(mdep, model))}


def router_disruption_budget(namespace: str, *, settings: Settings) -> Manifest | None:
    """Let drains take one router pod at a time; None for a single pod."""
    if settings.router_replicas <= 1:
        return None
    head = _router_head("policy/v1", "PodDisruptionBudget", namespace)
    return head | {"spec": _one_at_a_time(ROUTER_SELECTOR)}


def network_policy(mdep: ModelDeployment, model: str, *, settings: Settings) -> Manifest:
    """Let routers, fellow servers (shadow batches, feedback) and the operator in; nobody else of the cluster.

    Args:
        mdep: The owner.
        model: Name of the Model whose pods it is about.
        settings: Where the operator and those who scrape are, and what pods may not reach.
    """
    fellows = _pods(serving_selector(mdep))
    head = manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name=variant_name(mdep.metadata.name, model),
        namespace=mdep.metadata.namespace,
        labels=variant_labels(mdep, model),
        owners=owner(mdep),
    )
    ingress = [
        {"from": [_pods(ROUTER_SELECTOR), fellows], "ports": _ports(PORT, MANAGEMENT_PORT)},
        {"from": [_pods(ROUTER_SELECTOR)], "ports": _ports(GRPC_PORT)},
        {"from": _readers(settings), "ports": _ports(MANAGEMENT_PORT)},
    ]
    egress = [_dns(), {"to": [fellows], "ports": _ports(PORT, MANAGEMENT_PORT)}, _downloads(settings)]
    return head | {"spec": _policy(serving_selector(mdep, model), ingress, egress)}


def router_network_policy(namespace: str, *, settings: Settings) -> Manifest:
    """Let anybody ask the router; let it reach servers, the operator and DNS alone."""
    servers = _pods({"app.kubernetes.io/component": "serving"})
    ingress = [
        {"ports": _ports(PORT)},
        {"from": _readers(settings), "ports": _ports(MANAGEMENT_PORT)},
    ]
    egress = [
        _dns(),
        {"to": [servers], "ports": _ports(PORT, GRPC_PORT)},
        {"to": [_operator(settings)], "ports": _ports(settings.xds_port)},
    ]
    head = _router_head("networking.k8s.io/v1", "NetworkPolicy", namespace)
    return head | {"spec": _policy(ROUTER_SELECTOR, ingress, egress)}


def job_network_policy(namespace: str, *, settings: Settings) -> Manifest:
    """Let nobody reach the pods that verify and train, and keep them from the blocked networks.

    One for all of a namespace, there before its first Job: a policy per Job would come after its pod had begun.
    """
    head = manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name=JOBS,
        namespace=namespace,
        labels=labels("kingmaker", instance=JOBS, component="workload"),
    )
    spec = _policy(MANAGED, [], [_dns(), _downloads(settings)])
    kinds = {"key": COMPONENT, "operator": "In", "values": ["retrain", "verify"]}
    return head | {"spec": spec | {"podSelector": {"matchLabels": MANAGED, "matchExpressions": [kinds]}}}


def _router_head(api_version: str, kind: str, namespace: str) -> Manifest:
    own = labels(ROUTER, instance=ROUTER, component="router")
    return manifest(api_version, kind, name=ROUTER, namespace=namespace, labels=own)


def _one_at_a_time(selector: dict[str, str]) -> Manifest:
    # A pod that is not ready serves nobody: evicting it must never wait for it.
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def _policy(selector: dict[str, str], ingress: list[Manifest], egress: list[Manifest]) -> Manifest:
    # A direction without rules is left out: nothing is let through, and nothing is compared with an empty list.
    spec = {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress", "Egress"]}
    return spec | {name: rules for name, rules in (("ingress", ingress), ("egress", egress)) if rules}


def _pods(selector: dict[str, str]) -> Manifest:
    return {"podSelector": {"matchLabels": selector}}


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _operator(settings: Settings) -> Manifest:
    return _namespace(settings.operator_namespace) | _pods(OPERATOR_SELECTOR)


def _readers(settings: Settings) -> list[Manifest]:
    return [_operator(settings), *(_namespace(name) for name in settings.monitoring_namespaces)]


def _ports(*numbers: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _dns() -> Manifest:
    # To anywhere: a node-local cache answers at a link-local address that no selector covers.
    return {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}


def _downloads(settings: Settings) -> Manifest:
    # Stores are on any address and port. Namespaces are named apart: to some networks an address block is never a pod.
    blocks = [_all_but("0.0.0.0/0", [n for n in settings.blocked_egress if ":" not in n])]
    blocks += [_all_but("::/0", [n for n in settings.blocked_egress if ":" in n])]
    return {"to": [*blocks, *map(_namespace, settings.store_namespaces)], "ports": [{"protocol": "TCP"}]}


def _all_but(network: str, blocked: list[str]) -> Manifest:
    return {"ipBlock": {"cidr": network} | ({"except": blocked} if blocked else {})}
