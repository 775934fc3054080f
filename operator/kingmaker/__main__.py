"""`kingmaker-operator run`: put the parts together, run until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import kopf

from kingmaker.adapters.clock import SystemClock
from kingmaker.adapters.cluster import KubernetesCluster
from kingmaker.adapters.management import Management
from kingmaker.adapters.metrics import OperatorMetrics
from kingmaker.adapters.profiles import PodProfiles
from kingmaker.core.children import RouterContainer
from kingmaker.core.decide import Rules
from kingmaker.core.manifests.settings import LINK_LOCAL, Settings
from kingmaker.handlers.events import configure, register
from kingmaker.handlers.interest import Interest
from kingmaker.loop import Loop
from kingmaker.ports import Key
from kingmaker.reconcile import Reconciler
from kingmaker.routing.bootstrap import router_container
from kingmaker.routing.routers import AdsRouters

logger = logging.getLogger(__name__)

_WATCH_RESTART_SECONDS = 1.0

_IDENTITY: Any = "kingmaker"

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

    def option(name: str, default: str | None, text: str, kind: type = str) -> None:
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
    option("log-level", "INFO", "DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the operator; exit 0 after SIGTERM, 1 when it can't start."""
    args = parse(argv)
    logging.basicConfig(
        level=args.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    if args.kubeconfig:
        # kopf looks for its credentials there.
        os.environ["KUBECONFIG"] = args.kubeconfig
    try:
        asyncio.run(serve(args))
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        logger.error("can't start: %s", error)
        return 1
    return 0


async def serve(args: argparse.Namespace) -> None:
    """Build the parts and run them until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    interest = Interest()
    cluster = await KubernetesCluster.connect(args.kubeconfig or None)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        clock = SystemClock()

        def on_router_change(namespace: str, deployment: str) -> None:
            loop.add(Key("ModelDeployment", namespace, deployment))

        routers = AdsRouters(on_router_change)
        reconciler = Reconciler(cluster, PodProfiles(session), routers, clock, rules_of(args))
        metrics = OperatorMetrics(lambda: reconciler.plans, lambda: loop.depth, lambda: cluster.writes)
        loop = Loop(reconciler, clock, observe=metrics.observe)
        await routers.server.start(f"{args.bind_address}:{args.xds_port}")
        stack.push_async_callback(routers.server.stop)
        management = Management(metrics.registry)
        await management.start(args.bind_address, args.metrics_port)
        stack.push_async_callback(management.stop)
        registry = kopf.OperatorRegistry()
        register(registry, interest, loop.add)
        logger.info("running; routers at port %s, metrics at port %s", args.xds_port, args.metrics_port)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(loop.run()),
                group.create_task(watch(registry, names_in(args.namespaces), stop)),
            ]
            await stop.wait()
            logger.info("stopping")
            for task in tasks:
                task.cancel()


async def watch(registry: kopf.OperatorRegistry, namespaces: Sequence[str], stop: asyncio.Event) -> None:
    """Keep kopf watching. It gives up on some answers of an API server in trouble; then it is started again.

    Nothing is lost by that: it lists everything anew, and no decision depends on having seen an event.
    """
    while True:
        settings = kopf.OperatorSettings()
        configure(settings)
        try:
            await kopf.operator(
                registry=registry,
                settings=settings,
                # kopf would make one of a user's name, and the user of a container has none.
                identity=_IDENTITY,
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
            )
            # kopf takes the signals over and returns when told to end: so must we.
            stop.set()
            return
        except Exception:
            logger.exception("the watch broke; it begins again")
        await asyncio.sleep(_WATCH_RESTART_SECONDS)


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


def names_in(text: str) -> tuple[str, ...]:
    """Split what was separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


if __name__ == "__main__":
    sys.exit(main())
