"""`kingmaker-operator run`: read the command line, run until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta

from kingmaker.assembly import serve
from kingmaker.core.decide import Rules
from kingmaker.core.manifests.settings import LINK_LOCAL, Settings
from kingmaker.core.serving.children import RouterContainer
from kingmaker.routing.bootstrap import router_container

logger = logging.getLogger(__name__)

_ROUTER_HEAP = 900 * 2**20
"""Bytes, a little below the router's memory limit: near it Envoy refuses work instead of being killed."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; every option has an environment variable of the same name, `KINGMAKER_…`."""
    parser = argparse.ArgumentParser(
        prog="kingmaker-operator", description="Serves, challenges, watches and retrains models on Kubernetes."
    )
    run = parser.add_subparsers(dest="verb", required=True).add_parser(
        "run",
        help="run the operator",
        description="Runs the operator until SIGTERM, connected by --kubeconfig or as the pod that it is.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    env = os.environ

    def option(name: str, default: str | None, text: str, kind: Callable[[str], object] = str) -> None:
        value = env.get(f"KINGMAKER_{name.upper().replace('-', '_')}", default)
        run.add_argument(f"--{name}", default=value, type=kind, required=value is None, help=text)

    option("kubeconfig", "", "kubeconfig to use; empty: the pod's own ServiceAccount")
    option("namespaces", "", "namespaces to serve, separated by commas; empty: all")
    option("operator-namespace", "kingmaker-system", "namespace that the operator runs in")
    option("serving-image", None, "image with kingmaker-serving")
    option("router-image", None, "image with Envoy")
    option("image-pull-policy", "IfNotPresent", "pull policy of both")
    option("xds-host", None, "name or address at which routers find this process")
    option("xds-port", "18000", "port for routers", int)
    option("bind-address", "0.0.0.0", "address to listen at")  # noqa: S104  # a pod's only address
    option("metrics-port", "8080", "port for /metrics, /livez and /readyz", int)
    option("router-replicas", "2", "router pods per namespace", int)
    option("pre-stop-seconds", "10", "seconds an ending pod goes on answering", int)
    option("drain-seconds", "45", "seconds a server may finish what is in flight", int)
    option("startup-seconds", "300", "seconds a server may take to load its model", int)
    option("image-pull-secrets", "", "names of Secrets for a private registry, separated by commas")
    option("blocked-egress", ",".join(LINK_LOCAL), "networks that no server and no Job may reach, separated by commas")
    option("store-namespaces", "", "namespaces that they may reach even so, separated by commas")
    option("monitoring-namespaces", "", "namespaces whose pods may scrape /metrics, separated by commas")
    option("evaluation-interval", "30", "seconds between two looks at the counts", float)
    option("leader-elect", "false", "true: of several processes only the one that holds the lease works", boolean)
    option("lease-name", "kingmaker", "name of that Lease, in the operator's namespace")
    option("identity", socket.gethostname(), "this process's name in the Lease: its pod's, nobody else's")
    option("lease-seconds", "15", "seconds after which a silent leader is succeeded, at least 3", lease_seconds)
    option("log-level", "INFO", "DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the operator; exit 0 after SIGTERM, 1 when it can't start."""
    args = parse(argv)
    logging.basicConfig(
        level=args.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It is told to end otherwise, and warns that signals don't reach it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    if args.kubeconfig:
        # kopf looks for its credentials there.
        os.environ["KUBECONFIG"] = args.kubeconfig
    try:
        asyncio.run(serve(args, rules_of(args), names_in(args.namespaces)))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        logger.error("can't start: %s", error)
        return 1
    return 0


def rules_of(args: argparse.Namespace) -> Rules:
    """Turn the command line into what decisions depend on."""
    settings = Settings(
        serving_image=args.serving_image,
        router_image=args.router_image,
        operator_namespace=args.operator_namespace,
        xds_host=args.xds_host,
        xds_port=args.xds_port,
        image_pull_policy=args.image_pull_policy,
        router_replicas=args.router_replicas,
        pre_stop_seconds=args.pre_stop_seconds,
        drain_seconds=args.drain_seconds,
        startup_seconds=args.startup_seconds,
        image_pull_secrets=names_in(args.image_pull_secrets),
        blocked_egress=names_in(args.blocked_egress),
        store_namespaces=names_in(args.store_namespaces),
        monitoring_namespaces=names_in(args.monitoring_namespaces),
    )
    envoy = router_container(
        xds_host=args.xds_host,
        xds_port=args.xds_port,
        drain_seconds=max(1, args.pre_stop_seconds),
        max_heap_bytes=_ROUTER_HEAP,
    )
    router = RouterContainer(envoy.args, envoy.lifecycle, envoy.startup_probe)
    return Rules(settings, router, timedelta(seconds=args.evaluation_interval))


def boolean(text: str) -> bool:
    """Read what a person may write for yes and no.

    Raises:
        ValueError: It is neither.
    """
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def lease_seconds(text: str) -> int:
    """Read a lease's duration in seconds.

    Raises:
        ValueError: Too short for a renewal and its repetition.
    """
    if int(text) < 3:
        raise ValueError(text)
    return int(text)


def names_in(text: str) -> tuple[str, ...]:
    """Split what was separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


if __name__ == "__main__":
    sys.exit(main())
