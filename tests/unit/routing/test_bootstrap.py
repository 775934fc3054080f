"""How a router's Envoy is started."""

import json

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import (  # noqa: F401  # found by its name
    downstream_connections_pb2,
)
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2  # noqa: F401  # found by its name
from google.protobuf import json_format

from kingmaker.routing import messages  # noqa: F401  # the other types that the bootstrap names
from kingmaker.routing.bootstrap import router_container


def bootstrap(**changes) -> bootstrap_pb2.Bootstrap:
    container = router_container(**({"xds_host": "10.0.0.1", "xds_port": 18000} | changes))
    return json_format.ParseDict(json.loads(container.args[-1]), bootstrap_pb2.Bootstrap())


def test_the_pod_is_known_by_name_and_address() -> None:
    found = bootstrap()
    assert (found.node.id, found.node.cluster) == ("$(POD_NAME)", "$(POD_NAMESPACE)")
    (xds, _) = found.static_resources.clusters
    assert xds.upstream_bind_config.source_address.address == "$(POD_IP)"


@pytest.mark.parametrize(
    ("host", "kind"), [("10.0.0.1", "STATIC"), ("fd00::1", "STATIC"), ("kingmaker.kingmaker-system.svc", "STRICT_DNS")]
)
def test_names_are_resolved_and_addresses_are_not(host: str, kind: str) -> None:
    xds = bootstrap(xds_host=host).static_resources.clusters[0]
    assert xds.DiscoveryType.Name(xds.type) == kind


def test_work_is_refused_before_memory_ends() -> None:
    plain, bounded = bootstrap(), bootstrap(max_heap_bytes=2**30)
    assert [m.name for m in plain.overload_manager.resource_monitors] == [
        "envoy.resource_monitors.global_downstream_max_connections"
    ]
    assert {a.name.rpartition(".")[2]: a.triggers[0].threshold.value for a in bounded.overload_manager.actions} == {
        "shrink_heap": 0.95,
        "stop_accepting_requests": 0.98,
    }


def test_the_grace_period_is_longer_than_the_drain() -> None:
    container = router_container(xds_host="10.0.0.1", xds_port=18000, drain_seconds=7)
    assert container.grace_seconds > 8
    assert "sleep 8" in container.lifecycle["preStop"]["exec"]["command"][2]
    assert container.args[container.args.index("--drain-time-s") + 1] == "7"


def test_nothing_but_the_pods_own_fields_is_expanded() -> None:
    container = router_container(xds_host="10.0.0.1", xds_port=18000)
    text = " ".join(container.args).replace("$(POD_IP)", "").replace("$(POD_NAME)", "").replace("$(POD_NAMESPACE)", "")
    assert "$" not in text
