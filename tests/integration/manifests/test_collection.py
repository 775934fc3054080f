"""Kubernetes collects what the operator made for one deployment, with the operator gone."""

import json

from kingmaker.core.manifests.router import deployment_service
from kingmaker.core.manifests.serving import variant_service
from support.controlplane import ControlPlane
from support.manifest_objects import a_deployment

SEAT = {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "ModelDeployment", "spec": {"championRef": {"name": "churn-1"}}}


def a_seat(control_plane: ControlPlane, namespace: str, name: str) -> str:
    """Create a ModelDeployment and give its uid."""
    body = SEAT | {"metadata": {"name": name, "namespace": namespace}}
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))
    return control_plane.kubectl("get", "mdep", name, "-n", namespace, "-o", "jsonpath={.metadata.uid}").stdout


def wait(control_plane: ControlPlane, namespace: str, condition: str, *objects: str) -> None:
    control_plane.kubectl("wait", f"--for={condition}", *objects, "-n", namespace, "--timeout=45s")


def test_children_go_with_their_owner(crds: ControlPlane, namespace: str) -> None:
    uids = {name: a_seat(crds, namespace, name) for name in ("churn", "abuse")}
    bodies = []
    for name, uid in uids.items():
        seat = a_deployment(name, uid=uid, namespace=namespace)
        bodies += [deployment_service(seat), variant_service(seat, "v1")]
    for body in bodies:
        crds.kubectl("apply", "--server-side", "--field-manager=kingmaker", "-f", "-", input=json.dumps(body))

    crds.kubectl("delete", "mdep", "churn", "-n", namespace)
    wait(crds, namespace, "delete", "service/churn", "service/churn-v1")
    crds.kubectl("get", "service/abuse", "service/abuse-v1", "-n", namespace)
