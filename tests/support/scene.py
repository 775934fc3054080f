"""Two tenants who each serve a model, and everything that a connection between their pods can begin or end at."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import yaml

from support import standin
from support.clients import StoredProps
from support.cluster import Cluster, Document, KubectlError, is_ready, wait_until
from support.insider import Place
from support.reach import SOURCES
from support.release import NAME, Images
from support.release import NAMESPACE as SYSTEM
from support.store import NAMESPACE as STORE
from support.store import PREFIX, pod

T = TypeVar("T")

HOME, AWAY = "reach", "neighbour"
"""Namespaces of the two tenants."""
PLAIN = "plain"
PORT = 9999

_LISTEN = f"""
import socket
server = socket.create_server(("", {PORT}))
kept = []
while True:
    kept.append(server.accept())
"""


class Scene:
    """What was applied, found again by its labels."""

    def __init__(self, cluster: Cluster, images: Images, props: StoredProps) -> None:
        self.cluster = cluster
        self._images = images
        self._props = props

    def build(self) -> None:
        """Apply everything and wait until each source and each target is there."""
        standin.start(self.cluster, self._images)
        listener = {"image": self._images.serving, "command": ["python", "-c", _LISTEN]}
        for namespace in (HOME, AWAY):
            self.cluster.apply(pod(PLAIN, namespace, listener))
            self.cluster.kubectl("wait", "-n", namespace, f"pod/{PLAIN}", "--for=condition=Ready", "--timeout=90s")
        self.cluster.apply(*self._models(), _deployment("first", HOME, challenger="reach-2"))
        self.cluster.apply(_deployment("stranger", HOME, trainer=self._images.training), _deployment("foreign", AWAY))
        wait_until("every pod of the scene runs", self._is_built, seconds=180)

    def clear(self) -> None:
        """Delete everything but the namespaces of the tenants."""
        standin.stop(self.cluster)
        for namespace in (HOME, AWAY):
            self.cluster.kubectl("delete", "modeldeployments,models", "-n", namespace, "--all", "--wait=false")
            self.cluster.kubectl("delete", "pod", PLAIN, "-n", namespace, "--ignore-not-found", "--wait=false")

    def places(self) -> dict[str, Place]:
        """Give where connections begin, by the names of `reach.SOURCES`."""
        found = {
            "server": Place(self.cluster, HOME, _name(self._server("first", "reach-1")), "serve"),
            "verify": Place(self.cluster, HOME, _name(self._one(HOME, "verify", "stuck")), "fetch"),
            "train": Place(self.cluster, HOME, _name(self._one(HOME, "retrain")), "train"),
            "router": Place(self.cluster, HOME, _name(self._one(HOME, "router")), "envoy"),
            "tenant": Place(self.cluster, HOME, PLAIN, PLAIN),
            "other": Place(self.cluster, AWAY, PLAIN, PLAIN),
        }
        assert found.keys() == SOURCES.keys()
        return found

    def targets(self) -> dict[str, str]:
        """Give host:port of everything to connect to, by the names of `reach.ROWS`.

        The kubelet is left out where the API server is not on a node.
        """
        found = dict(self._api())
        found["link-local"] = f"{standin.LINK_LOCAL}:{standin.PORT}"
        found["outside"] = f"{standin.OUTSIDE}:{standin.PORT}"
        found["dns"] = f"{self._name_server()}:53"
        found["store"] = f"{_ip(self.cluster.get('pod', 's3', STORE))}:7070"
        found["tenant-pod"] = f"{_ip(self.cluster.get('pod', PLAIN, HOME))}:{PORT}"
        found["other-pod"] = f"{_ip(self.cluster.get('pod', PLAIN, AWAY))}:{PORT}"
        pods = {
            "fellow": self._server("first", "reach-2"),
            "stranger": self._server("stranger", "reach-1"),
            "foreign": self._server("foreign", "reach-1", namespace=AWAY),
            # Of the other tenant, so that no router is asked to connect to itself.
            "router": self._one(AWAY, "router"),
        }
        # A router answers gRPC at its one port.
        ports = {name: (8080, 8082) if name == "router" else (8080, 8081, 8082) for name in pods}
        found |= {f"{name}-{port}": f"{_ip(where)}:{port}" for name, where in pods.items() for port in ports[name]}
        # Who stands by listens for no routers.
        leader = self.cluster.get("lease", NAME, SYSTEM)["spec"]["holderIdentity"]
        operator = _ip(self.cluster.get("pod", leader, SYSTEM))
        return found | {"operator-xds": f"{operator}:18000", "operator-8082": f"{operator}:8082"}

    def probe_all(self) -> dict[str, dict[str, bool]]:
        """Connect from everywhere to everything, all sources at once."""
        targets, places = self.targets(), self.places()
        with ThreadPoolExecutor(len(places)) as pool:
            answers = pool.map(lambda place: place.reaches(targets), places.values())
            return dict(zip(places, answers, strict=True))

    def wish(self, kind: str) -> Document:
        """Give what somebody might write to get further than their rights."""
        if kind == "secret of others":
            model = self._model(HOME, 1)
            model["metadata"]["name"] = "wish"
            return model
        trainer = self._images.training if kind == "training image" else ""
        deployment = _deployment("wish", HOME, trainer=trainer)
        if kind == "serving image":
            deployment["spec"]["serving"]["image"] = "registry.example/not-ours:1"
        return deployment

    def _is_built(self) -> bool:
        return bool(self.places() and self.targets())

    def _models(self) -> Iterator[Document]:
        for namespace, number in ((HOME, 1), (HOME, 2), (AWAY, 1)):
            yield self._model(namespace, number)
        stuck = self._model(HOME, 1)
        stuck["metadata"]["name"] = "stuck"
        address = _ip(self.cluster.get("pod", PLAIN, HOME))
        stuck["spec"]["artifact"]["uri"] = f"http://{address}:{PORT}/never.onnx"
        yield stuck

    def _model(self, namespace: str, number: int) -> Document:
        document: Document = yaml.safe_load(self._props.model(f"screening-{number}"))
        document["metadata"] = {"name": f"reach-{number}", "namespace": namespace}
        return document

    def _one(self, namespace: str, component: str, instance: str = "", **more: str) -> Document:
        labels = {"app.kubernetes.io/component": component, **more}
        if instance:
            labels["app.kubernetes.io/instance"] = instance
        running = filter(_runs, self.cluster.find("pods", namespace, **labels))
        return _first(running, f"running pod in {namespace} with {labels}")

    def _server(self, deployment: str, model: str, namespace: str = HOME) -> Document:
        labels = {"kingmaker.dev/deployment": deployment, "kingmaker.dev/model": model}
        return self._one(namespace, "serving", **labels)

    def _endpoint(self, service: str, namespace: str) -> tuple[str, int]:
        """Give the first ready address behind a Service, and the first port."""
        slices = self.cluster.find("endpointslices", namespace, **{"kubernetes.io/service-name": service})
        ready = (
            (str(endpoint["addresses"][0]), int(found["ports"][0]["port"]))
            for found in slices
            for endpoint in found["endpoints"] or ()
            if endpoint["conditions"].get("ready")
        )
        return _first(ready, f"ready endpoint of Service {namespace}/{service}")

    def _api(self) -> Iterator[tuple[str, str]]:
        service = self.cluster.get("service", "kubernetes", "default")["spec"]
        yield "api-service", f"{service['clusterIP']}:{service['ports'][0]['port']}"
        address, port = self._endpoint("kubernetes", "default")
        yield "api-address", f"{address}:{port}"
        nodes = json.loads(self.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
        if any(a["address"] == address for node in nodes for a in node["status"]["addresses"]):
            yield "kubelet", f"{address}:10250"

    def _name_server(self) -> str:
        lines = self.cluster.execute(HOME, PLAIN, "cat", "/etc/resolv.conf").splitlines()
        return next(line.split()[1] for line in lines if line.startswith("nameserver"))


def _deployment(name: str, namespace: str, *, challenger: str = "", trainer: str = "") -> Document:
    spec: Document = {"championRef": {"name": "reach-1"}, "serving": {"replicas": 1}}
    if challenger:
        spec["challengers"] = [{"name": "second", "modelRef": {"name": challenger}, "shadowPercent": 100}]
    if trainer:
        # Its champion is too old at once, and its training never ends.
        template = {"image": trainer, "command": ["sh", "-c", "trap exit TERM; sleep 3600 & wait"], "deadline": "1h"}
        output = {"uriPrefix": f"{PREFIX}/never/"}
        spec["retraining"] = {"triggers": ["Age"], "maxAge": "1s", "output": output, "template": template}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "metadata": metadata, "spec": spec}


def _runs(found: Document) -> bool:
    """Whether a pod is ready, or its init container goes on for ever on purpose."""
    waits = found["metadata"]["labels"].get("app.kubernetes.io/component") == "verify"
    states = found["status"].get("initContainerStatuses", ())
    return any("running" in s["state"] for s in states) if waits else is_ready(found)


def _first(found: Iterable[T], what: str) -> T:
    for item in found:
        return item
    raise KubectlError(f"no {what}")


def _name(found: Document) -> str:
    return str(found["metadata"]["name"])


def _ip(found: Document) -> str:
    return str(found["status"]["podIP"])
