"""A ModelDeployment whose number of pods follows the load, as kubectl shows it."""

from dataclasses import dataclass, field
from typing import Any

from support.cluster import Cluster, Document, condition


@dataclass
class Scaled:
    """The deployment, and how many pods it was seen to want."""

    cluster: Cluster
    namespace: str
    name: str
    model: str
    seen: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where clients in the cluster ask."""
        return f"http://{self.name}.{self.namespace}"

    def document(self, *, scaling: Document, resources: Document) -> Document:
        """Build it."""
        serving: dict[str, Any] = {"autoscaling": scaling, "resources": resources}
        return {
            "apiVersion": "kingmaker.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"championRef": {"name": self.model}, "serving": serving},
        }

    def delete(self) -> None:
        """Delete it, and every Model of its namespace."""
        self.cluster.kubectl("delete", "modeldeployment,model", "--all", "-n", self.namespace)

    def reason(self) -> str:
        return str(self._condition("AutoscalingActive").get("reason", ""))

    def status(self) -> str:
        return str(self._condition("AutoscalingActive").get("status", ""))

    def is_ready(self) -> bool:
        return self._condition("Ready").get("status") == "True"

    def wanted(self) -> int:
        """Read how many pods it is told to have."""
        return self._note(self._deployment())

    def has(self, pods: int) -> bool:
        """Whether it has as many ready pods as wanted, and that is the number."""
        found = self._deployment()
        wanted, ready = self._note(found), int(found["status"].get("readyReplicas", 0))
        return wanted == ready == pods == int(found["status"]["replicas"])

    def owners(self) -> set[str]:
        fields = self._deployment("--show-managed-fields")["metadata"]["managedFields"]
        return {e["manager"] for e in fields if "f:replicas" in e["fieldsV1"].get("f:spec", {})}

    def pods(self) -> list[Document]:
        """Read its pods."""
        return self.cluster.find("pods", self.namespace, app_kubernetes_io__name="kingmaker-serving")

    def _note(self, deployment: Document) -> int:
        wanted = int(deployment["spec"]["replicas"])
        if self.seen[-1:] != [wanted]:
            self.seen.append(wanted)
        return wanted

    def _condition(self, kind: str) -> Document:
        return condition(self.cluster.get("modeldeployment", self.name, self.namespace), kind)

    def _deployment(self, *flags: str) -> Document:
        return self.cluster.get("deployment", f"{self.name}-{self.model}", self.namespace, *flags)
