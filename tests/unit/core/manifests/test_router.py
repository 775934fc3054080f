"""What a namespace has once, and the one endpoint that clients know."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from kingmaker.core.manifests.policies import (
    job_network_policy,
    network_policy,
    pod_disruption_budget,
    router_disruption_budget,
    router_network_policy,
)
from kingmaker.core.manifests.router import (
    RouterContainer,
    deployment_service,
    router_deployment,
    workload_service_account,
)
from support.every_manifest import SETTINGS
from support.manifest_objects import a_deployment


def test_envoys_arguments_are_taken_as_they_are() -> None:
    body = router_deployment("team", settings=SETTINGS, router=RouterContainer(("--host", "$(POD_IP)")))
    container = body["spec"]["template"]["spec"]["containers"][0]
    assert (container["command"], container["args"]) == (["envoy"], ["--host", "$(POD_IP)"])
    assert {item["name"] for item in container["env"]} == {"POD_IP", "POD_NAME", "POD_NAMESPACE"}


def test_a_lifecycle_of_ones_own_replaces_the_sleep() -> None:
    drain = {"preStop": {"exec": {"command": ["true"]}}}
    body = router_deployment("team", settings=SETTINGS, router=RouterContainer((), lifecycle=drain))
    assert body["spec"]["template"]["spec"]["containers"][0]["lifecycle"] == drain


def test_the_endpoint_is_the_deployments_name_on_port_80() -> None:
    service = deployment_service(a_deployment("churn"))
    assert service["metadata"]["name"] == "churn"
    port = service["spec"]["ports"][0]
    assert (port["port"], port["targetPort"]) == (80, "http")
    router = router_deployment("team", settings=SETTINGS, router=RouterContainer(()))
    assert service["spec"]["selector"].items() <= router["spec"]["template"]["metadata"]["labels"].items()


def test_a_single_pod_gets_no_disruption_budget() -> None:
    one = replace(SETTINGS, router_replicas=1)
    assert router_disruption_budget("team", settings=one) is None
    assert pod_disruption_budget(a_deployment(serving={"replicas": 1}), "churn-1") is None
    assert pod_disruption_budget(a_deployment(), "churn-1") is not None


def test_a_budget_holds_for_any_number_that_an_autoscaler_sets() -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 4, "targetCPUPercent": 70}
    budget = pod_disruption_budget(a_deployment(serving={"autoscaling": scaling}), "churn-1")
    assert budget is not None
    assert budget["spec"]["maxUnavailable"] == 1
    alone = {"autoscaling": scaling | {"maxReplicas": 1}}
    assert pod_disruption_budget(a_deployment(serving=alone), "churn-1") is None


def test_servers_may_download_but_never_ask_the_cloud_for_credentials() -> None:
    blocked = ("169.254.0.0/16", "10.0.0.1/32", "fe80::/10")
    settings = replace(SETTINGS, blocked_egress=blocked, store_namespaces=("minio",))
    *_, downloads = network_policy(a_deployment(), "churn-1", settings=settings)["spec"]["egress"]
    assert downloads == {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.0.0.1/32"]}},
            {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}},
        ],
        "ports": [{"protocol": "TCP"}],
    }


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254"])
def test_where_clouds_hand_out_credentials_is_blocked_unless_somebody_says_otherwise(address: str) -> None:
    jobs = job_network_policy("team", settings=SETTINGS)
    blocks = [peer["ipBlock"] for rule in jobs["spec"]["egress"] for peer in rule.get("to", [])]
    blocked = [ip_network(cidr) for block in blocks for cidr in block["except"]]
    assert any(ip_address(address) in network for network in blocked)


def test_only_the_operator_and_monitoring_read_counts_from_outside() -> None:
    ingress = network_policy(a_deployment(), "churn-1", settings=SETTINGS)["spec"]["ingress"]
    outside = [peer for rule in ingress for peer in rule["from"] if "namespaceSelector" in peer]
    names = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in outside]
    assert names == ["kingmaker-system", "monitoring"]
    assert "podSelector" in outside[0]


def test_both_ports_of_an_endpoint_lead_to_the_routers_one() -> None:
    ports = deployment_service(a_deployment())["spec"]["ports"]
    assert [(port["port"], port["targetPort"], port["appProtocol"]) for port in ports] == [
        (80, "http", "http"),
        (8081, "http", "kubernetes.io/h2c"),
    ]


def test_only_routers_reach_a_servers_port_for_grpc() -> None:
    ingress = network_policy(a_deployment(), "churn-1", settings=SETTINGS)["spec"]["ingress"]
    (rule,) = [rule for rule in ingress if 8081 in [port["port"] for port in rule["ports"]]]
    assert [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]] == ["router"]


def test_the_router_reaches_servers_the_operator_and_names_alone() -> None:
    egress = router_network_policy("team", settings=SETTINGS)["spec"]["egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in egress] == [[53, 53], [8080, 8081], [18000]]


def test_the_service_account_holds_pull_secrets_and_nothing_else() -> None:
    body = workload_service_account("team", settings=SETTINGS)
    assert body["automountServiceAccountToken"] is False
    assert body["imagePullSecrets"] == [{"name": "registry"}]
    plain = workload_service_account("team", settings=replace(SETTINGS, image_pull_secrets=()))
    assert "imagePullSecrets" not in plain
