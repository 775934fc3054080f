"""A seat in a real cluster, with a champion of two pods, under load."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kingmaker_laptop.demo.scenario import EXAMPLE
from support.clients import StoredProps
from support.cluster import Cluster, Document, condition, is_ready, wait_until
from support.load import Load, Window

NAME = "screening"
CHAMPION, CHALLENGER = "screening-1", "screening-2"

_RATE = 40.0
_ROUTER = {"app_kubernetes_io__name": "kingmaker-router"}


class Seat:
    """The ModelDeployment, and the load on it."""

    def __init__(self, cluster: Cluster, namespace: str, load: Load) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.load = load

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def read(self) -> Document:
        return self.cluster.get("modeldeployment", NAME, self.namespace)

    def change(self, **spec: Any) -> None:
        self.kubectl("patch", "modeldeployment", NAME, "--type=merge", "-p", json.dumps({"spec": spec}))

    def pods(self, model: str = CHAMPION) -> list[Document]:
        labels = {"app_kubernetes_io__component": "serving", "kingmaker_dev__model": model}
        return [
            p for p in self.cluster.find("pods", self.namespace, **labels) if "deletionTimestamp" not in p["metadata"]
        ]

    def routers(self) -> list[Document]:
        return [
            p for p in self.cluster.find("pods", self.namespace, **_ROUTER) if "deletionTimestamp" not in p["metadata"]
        ]

    def holds(self, kind: str, status: str, *reasons: str) -> Document | None:
        found = condition(self.read(), kind)
        return found if found.get("status") == status and (not reasons or found["reason"] in reasons) else None

    def wait_ready(self, pods: int = 2) -> None:
        def settled() -> bool:
            servers, routers = self.pods(), self.routers()
            everybody = len(servers) == pods and len(routers) == 2 and all(map(is_ready, servers + routers))
            return everybody and self.holds("Ready", "True") is not None

        wait_until(f"{pods} servers and 2 routers ready", settled, seconds=120)


@contextmanager
def taken(cluster: Cluster, namespace: str, *, built: Path, trainer: str) -> Iterator[Seat]:
    """Seat the champion, put load on it, and tell at the end what became of all requests."""
    props = StoredProps(EXAMPLE, built, trainer, replicas=2)
    seat = yaml.safe_load(props.deployment())
    for part in ("enrol", "retraining"):
        del seat["spec"][part]
    seat["spec"]["contest"]["promotion"] = "Never"
    seat["spec"]["serving"]["resources"] = {"limits": {"memory": "512Mi"}, "requests": {"cpu": "50m"}}
    models = [yaml.safe_load(props.model(name)) for name in (CHAMPION, CHALLENGER)]
    cluster.apply(*models, seat, namespace=namespace)

    def is_seated() -> bool:
        return condition(cluster.get("modeldeployment", NAME, namespace), "Ready").get("status") == "True"

    wait_until("the seat is Ready", is_seated, seconds=120)
    load = Load(url=f"http://{NAME}.{namespace}", model=NAME, rate=_RATE)
    yield Seat(cluster, namespace, load)
    last = load.stop()
    print(f"\nover all of it: {last['sent']:,} requests, {last['failed']} failed, {last['byStatus']}")
    cluster.kubectl("delete", "modeldeployments,models", "--all", "-n", namespace)


def told(what: str, window: Window) -> Window:
    """Print what became of the requests meanwhile."""
    print(f"\n{what}: {window}")
    assert window.sent > 0
    return window
