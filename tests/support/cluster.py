"""Any cluster that a kubeconfig leads to, driven with kubectl as a person would."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
Document = dict[str, Any]

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace in which Kubernetes admits nothing but restricted pods."""


class KubectlError(Exception):
    """kubectl failed; the message is its own."""


class Cluster:
    """The cluster of $KUBECONFIG."""

    def kubectl(self, *arguments: str, stdin: str | bytes | None = None, seconds: float = 120) -> str:
        """Run kubectl and give its stdout.

        Raises:
            KubectlError: It failed.
        """
        content = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(["kubectl", *arguments], input=content, capture_output=True, timeout=seconds, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-3000:]
            raise KubectlError(f"kubectl {' '.join(arguments)[:200]}: {said}")
        return done.stdout.decode(errors="replace")

    async def kubectl_async(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl while others go on."""
        return await asyncio.to_thread(self.kubectl, *arguments, stdin=stdin)

    def get(self, kind: str, name: str, namespace: str, *flags: str) -> Document:
        """Read one object."""
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json", *flags))

    def find(self, kind: str, namespace: str, **labels: str) -> list[Document]:
        """Read all objects that have the labels (`app_kubernetes_io__component` is app.kubernetes.io/component)."""
        selector = ",".join(f"{k.replace('__', '/').replace('_', '.')}={v}" for k, v in labels.items())
        chosen = [f"--selector={selector}"] if selector else []
        return json.loads(self.kubectl("get", kind, "-n", namespace, *chosen, "-o", "json"))["items"]

    def apply(self, *documents: Document, namespace: str | None = None) -> str:
        """Apply objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        place = ["-n", namespace] if namespace else []
        return self.kubectl("apply", *place, "-f", "-", stdin=json.dumps(listed))

    def create_namespace(self, name: str, **labels: str) -> None:
        """Create a namespace that enforces the restricted profile of Pod Security; it may be there already."""
        metadata = {"name": name, "labels": {**RESTRICTED, **labels}}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def execute(self, namespace: str, pod: str, *command: str, container: str = "", stdin: str | bytes = b"") -> str:
        """Run a command in a container and give its stdout."""
        chosen = ["-c", container] if container else []
        return self.kubectl("exec", "-i", "-n", namespace, pod, *chosen, "--", *command, stdin=stdin)

    @contextmanager
    def proxied(self) -> Iterator[str]:
        """Give a URL of the API server that asks for no credentials, whatever the kubeconfig needs."""
        command = ["kubectl", "proxy", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
            try:
                assert proxy.stdout is not None
                yield f"http://{proxy.stdout.readline().rpartition(' ')[2].strip()}"
            finally:
                proxy.terminate()


def wait_until(what: str, condition: Callable[[], T | None], *, seconds: float, pause: float = 0.5) -> T:
    """Give the condition's first answer that is neither None nor False; kubectl's errors are looked past."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            if answer := condition():
                return answer
            last = answer
        except KubectlError as error:
            last = error
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {last}")


def condition(document: Document, kind: str) -> Document:
    """Give a condition of an object's status; empty when it is not there."""
    found: Iterable[Document] = document.get("status", {}).get("conditions", ())
    return next((c for c in found if c["type"] == kind), {})


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready and stays."""
    return condition(pod, "Ready").get("status") == "True" and "deletionTimestamp" not in pod["metadata"]
