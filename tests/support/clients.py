"""Clients in the cluster: a pod whose load generator never stops, and the demo's place made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from kingmaker_laptop.demo.client import Traffic, generator_arguments
from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.steps import Props
from support.cluster import Cluster, KubectlError
from support.release import Images
from support.store import CREDENTIALS, PREFIX, SECRET, WORK, copy_into, pod, secret

NAMESPACE = "clients"
POD = "clients"
FRESH = f"{PREFIX}/fresh.csv"
SOURCES = Path(__file__).parents[2] / "laptop" / "kingmaker_laptop"


class Clients:
    """The pod that asks. Its Python has what the load generator needs; the generator itself is copied into it."""

    def __init__(self, cluster: Cluster, images: Images) -> None:
        self.cluster = cluster
        self._images = images

    def start(self) -> None:
        """Start the pod and copy the generator into it."""
        self.cluster.create_namespace(NAMESPACE)
        container = {
            "image": self._images.training,
            "command": ["sleep", "86400"],
            "env": [
                {"name": "PYTHONPATH", "value": f"{WORK}/app:/app"},
                {"name": "HOME", "value": WORK},
                {"name": "TMPDIR", "value": WORK},
            ],
            "envFrom": [{"secretRef": {"name": SECRET}}],
        }
        self.cluster.apply(secret(NAMESPACE), pod(POD, NAMESPACE, container))
        self.cluster.kubectl("wait", "-n", NAMESPACE, f"pod/{POD}", "--for=condition=Ready", "--timeout=90s")
        copy_into(self.cluster, SOURCES, NAMESPACE, POD, f"{WORK}/app/kingmaker_laptop")

    async def traffic(self, *, url: str, model: str, rate: float, fresh: str, log: Path) -> Traffic:
        """Start a load generator in the pod; it ends when `stop` closes its stdin."""
        arguments = generator_arguments(url=url, model=model, rate=rate, rows=Path(WORK, "models"), fresh=fresh)
        return await Traffic.start(("kubectl", "exec", "-i", "-n", NAMESPACE, POD, "--", "python", *arguments), log=log)

    def run(self, script: str, *arguments: str) -> str:
        """Run a Python script in the pod and give its stdout."""
        return self.cluster.execute(NAMESPACE, POD, "python", "-", *arguments, stdin=script)


class ClusterPlace:
    """Where the demo's steps happen in a real cluster."""

    def __init__(self, clients: Clients, folder: Path) -> None:
        self._clients = clients
        self._folder = folder

    @property
    def slack_seconds(self) -> float:
        """A kubelet brings a changed ConfigMap to its pods within 60 to 90 seconds."""
        return 100.0

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl; namespaces are there already."""
        if arguments[:2] == ("create", "namespace"):
            return ""
        try:
            return await self._clients.cluster.kubectl_async(*arguments, stdin=stdin)
        except KubectlError as error:
            raise DemoError(str(error)) from error

    async def url(self, namespace: str, name: str) -> str:
        """Give the URL that clients in the cluster use."""
        return f"http://{name}.{namespace}"

    async def start_traffic(self, *, url: str, model: str, rate: float, rows: Path, fresh: Path) -> Traffic:
        """Start the load generator in the clients' pod; fresh rows go to the store."""
        del rows, fresh
        return await self._clients.traffic(url=url, model=model, rate=rate, fresh=FRESH, log=self.log("traffic"))

    def log(self, name: str) -> Path:
        """Say where a log would be."""
        return self._folder / f"{name}.log"


@dataclass(frozen=True)
class StoredProps(Props):
    """The demo's manifests with files in the store, not on a laptop's disk, and an image instead of a program."""

    trainer: str = ""
    replicas: int = 1

    @override
    def model(self, name: str) -> str:
        """Give the manifest of a model that was uploaded."""
        document = yaml.safe_load(Props.model(self, name).replace(self.built.as_uri(), PREFIX))
        document["spec"]["artifact"]["credentialsSecretRef"] = {"name": SECRET}
        return yaml.safe_dump(document)

    @override
    def deployment(self) -> str:
        """Give the ModelDeployment whose retraining reads and writes the store."""
        document: dict[str, Any] = yaml.safe_load(Props.deployment(self))
        document["spec"]["serving"]["replicas"] = self.replicas
        retraining = document["spec"]["retraining"]
        retraining["output"]["uriPrefix"] = f"{PREFIX}/retrained/"
        template = retraining["template"]
        template["image"] = self.trainer
        template["command"] = ["python", "/app/breast_cancer/train.py"]
        template["args"][template["args"].index("--data") + 1] = FRESH
        keys = ({"name": SECRET, "key": name} for name in CREDENTIALS)
        template["env"] = [{"name": key["key"], "valueFrom": {"secretKeyRef": key}} for key in keys]
        return yaml.safe_dump(document)
