"""How a node process was started: its command line, read once."""

import argparse
import ipaddress
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one node.

    Attributes:
        folder: Everything the node keeps.
        port: Of the kubelet endpoint on 127.0.0.1; 0 takes a free one.
        search_path: PATH of the containers.
        language: LANG of the containers.
        client_authority: CA file that clients of the kubelet endpoint must have a certificate of; None lets in all.
        restart_backoff: First pause of a container that keeps ending.
        stop_grace_seconds: At most this long do pods have to end when the node itself is told to.
        has_proxy: Whether the node runs the Service proxy.
    """

    kubeconfig: Path
    folder: Path
    name: str
    pod_network: ipaddress.IPv4Network
    port: int
    search_path: str
    language: str
    client_authority: Path | None
    restart_backoff: timedelta
    stop_grace_seconds: float
    max_pods: int
    has_proxy: bool
    log_level: str


def parse_settings(arguments: list[str]) -> Settings:
    """Read the command line; ends the process with a message when it is wrong."""
    parser = argparse.ArgumentParser(prog="kingmaker_laptop.node", description="A Kubernetes node of processes.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True, help="where the node keeps pods, logs and its state")
    parser.add_argument("--name", required=True, help="name of the Node")
    parser.add_argument("--pod-cidr", type=ipaddress.IPv4Network, required=True, help="inside 127.0.0.0/8")
    parser.add_argument("--port", type=int, default=0, help="of the kubelet endpoint; 0: a free one")
    parser.add_argument("--client-ca", type=Path, help="only clients with a certificate of this CA may read logs")
    parser.add_argument("--restart-backoff", type=float, default=10, help="first pause in seconds")
    parser.add_argument("--stop-grace", type=float, default=10, help="seconds that pods have when the node stops")
    parser.add_argument("--max-pods", type=int, default=250)
    parser.add_argument("--no-proxy", action="store_true", help="do not run the Service proxy")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    # Commands of the installation that runs the node are found even when it isn't activated.
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return Settings(
        kubeconfig=options.kubeconfig,
        folder=options.dir.resolve(),
        name=options.name,
        pod_network=options.pod_cidr,
        port=options.port,
        search_path=search_path,
        language=os.environ.get("LANG", "C.UTF-8"),
        client_authority=options.client_ca,
        restart_backoff=timedelta(seconds=options.restart_backoff),
        stop_grace_seconds=options.stop_grace,
        max_pods=options.max_pods,
        has_proxy=not options.no_proxy,
        log_level=options.log_level,
    )
