"""Kingmaker as Helm installs it, from images that the cluster has or can pull."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.cluster import Cluster, Document, KubectlError

CHART = Path(__file__).parents[2] / "charts" / "kingmaker"
NAMESPACE = "kingmaker-system"
NAME = "kingmaker"
TENANTS = ("demo", "hostile", "neighbour", "nodes", "other", "reach", "upgrade")
"""Namespaces that the operator looks after."""


@dataclass(frozen=True)
class Images:
    """Names of images, as pods name them."""

    operator: str
    serving: str
    training: str
    router: str
    store: str

    @classmethod
    def read(cls) -> "Images | None":
        """Read KINGMAKER_IMAGES, a pattern such as `registry/kingmaker-{}:0.1.0`; None without it."""
        pattern = os.environ.get("KINGMAKER_IMAGES", "")
        if not pattern:
            return None
        router = os.environ.get("KINGMAKER_ROUTER_IMAGE") or pattern.format("router")
        parts = {part: pattern.format(part) for part in ("operator", "serving", "training", "store")}
        return cls(**parts, router=router)


def helm(*arguments: str, seconds: float = 300) -> str:
    """Run Helm and give its stdout; a failure raises with what it said."""
    command = [os.environ.get("KINGMAKER_HELM", "helm"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)[:300]}: {done.stderr[-3000:]}"
    return done.stdout


class Release:
    """The one release of a cluster."""

    def __init__(self, cluster: Cluster, images: Images, folder: Path) -> None:
        self.cluster = cluster
        self._images = images
        self._folder = folder

    def values(self, *namespaces: str) -> Document:
        """Give the values that tests install with: seconds where production has minutes."""
        images = {name: getattr(self._images, name) for name in ("operator", "serving", "router")}
        return {
            "images": {**images, "pullPolicy": "IfNotPresent"},
            "scope": {"namespaces": list(namespaces)},
            # Who ends answers for the chart's own 10 s: on a busy machine new pods need more than half of them.
            "serving": {"drainSeconds": 10},
            "operator": {"evaluationSeconds": 1, "ledgerSeconds": 1},
        }

    def install(self, *namespaces: str, chart: Path = CHART, **changes: Document) -> float:
        """Install or upgrade, wait until it is up, and give the seconds that it took."""
        values = self.values(*namespaces)
        for part, change in changes.items():
            values[part] = {**values.get(part, {}), **change}
        file = self._folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        began = time.monotonic()
        helm("upgrade", "--install", NAME, str(chart), "-n", NAMESPACE, "-f", str(file), "--wait", "--timeout=180s")
        return time.monotonic() - began

    def operators(self) -> list[Document]:
        """Read the operator's pods."""
        labels = {"app_kubernetes_io__component": "operator", "app_kubernetes_io__part-of": "kingmaker"}
        return self.cluster.find("pods", NAMESPACE, **labels)

    def leader(self) -> str:
        """Name the pod that holds the Lease; empty when nobody does."""
        lease = self.cluster.get("lease", NAME, NAMESPACE)
        return str(lease["spec"].get("holderIdentity", ""))

    def logs(self) -> str:
        """Give what the operators said, for a test that failed."""
        return "\n".join(map(self._log, (pod["metadata"]["name"] for pod in self.operators())))

    def _log(self, pod: str) -> str:
        try:
            said = self.cluster.kubectl("logs", "-n", NAMESPACE, pod, "--tail=60")
        except KubectlError as error:
            # One that was ending a moment ago.
            said = str(error)
        return f"--- {pod}\n{said}"
