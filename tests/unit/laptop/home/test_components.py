"""The command lines of a laptop cluster: who listens where, and who is whom."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kingmaker_laptop.addresses import SLOTS, Addresses
from kingmaker_laptop.components import Cluster, Component
from kingmaker_laptop.home import Home
from kingmaker_laptop.ports import Ports

CLUSTER = Cluster(
    Home(Path("/home/me/cluster")),
    Path("/cache/kingmaker-controlplane"),
    Ports(1, 2, 3, 4, 5, 6, 7, 8),
    Addresses(2),
    operator_arguments=("--evaluation-interval=1",),
)

PROGRAMS: list[Callable[[], Component]] = [
    CLUSTER.etcd,
    CLUSTER.api_server,
    CLUSTER.controller_manager,
    CLUSTER.scheduler,
    CLUSTER.node,
    CLUSTER.operator,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_nobody_uses_the_administrators_kubeconfig(program: Callable[[], Component]) -> None:
    kubeconfigs = [word for word in program().command if word.startswith("--kubeconfig=")]
    assert all(word.endswith(f"credentials/{program().name}.kubeconfig") for word in kubeconfigs)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_everybody_listens_on_loopback_alone(program: Callable[[], Component]) -> None:
    command = program().command
    for flag in ("--bind-address", "--listen-client-urls", "--listen-peer-urls"):
        assert all("127.0.0.1" in word for word in command if word.startswith(f"{flag}="))


def test_etcd_lets_in_only_who_has_the_clusters_certificate() -> None:
    command = CLUSTER.etcd().command
    assert {"--client-cert-auth=true", "--peer-client-cert-auth=true"} <= set(command)
    assert not any("http://" in word for word in command)


def test_endpoints_are_written_by_nobody_because_they_refuse_loopback_addresses() -> None:
    controllers = next(word for word in CLUSTER.controller_manager().command if word.startswith("--controllers="))
    assert controllers.startswith("--controllers=*,")
    assert {"-endpoints-controller", "-endpointslice-controller"} <= set(controllers.split(","))


def test_operator_arguments_are_passed_on() -> None:
    assert CLUSTER.operator().command[-1] == "--evaluation-interval=1"


def test_installed_commands_are_found_first() -> None:
    assert CLUSTER.node().environment["PATH"].split(":")[0] == str(Path(CLUSTER.node().command[0]).parent)


def test_networks_of_all_slots_are_apart() -> None:
    networks = [network for slot in range(SLOTS) for network in (Addresses(slot).services, Addresses(slot).pods)]
    assert len(set(networks)) == 2 * SLOTS
    assert all(1 <= int(network.split(".")[1]) <= 254 for network in networks)


def test_ports_stay_below_those_of_outgoing_connections() -> None:
    assert Addresses(SLOTS - 1).first_port + 100 < 32768
