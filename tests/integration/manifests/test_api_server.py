"""The real API server's word on every manifest: valid, permitted, confined, and the same the second time."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from kingmaker.core.manifests.serving import variant_deployment
from kingmaker.core.serving.diff import contains
from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import Connection, read_kubeconfig
from kingmaker_laptop import bootstrap
from kingmaker_laptop.assets import operator_rules
from support.controlplane import ControlPlane
from support.every_manifest import SETTINGS, every_manifest
from support.manifest_objects import a_deployment, a_model

APPLY = "application/apply-patch+yaml"
OWN_KINDS = ("Model", "Decision")
ALL = every_manifest()
BUILT_IN = [body for body in ALL if body["kind"] not in OWN_KINDS]
OWN = [body for body in ALL if body["kind"] in OWN_KINDS]
PODS = [body for body in BUILT_IN if "template" in body.get("spec", {})]


def path_of(body: dict[str, Any], namespace: str) -> str:
    """Path of the collection that an object belongs to."""
    version, kind = body["apiVersion"], body["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{namespace}/{plural}"


def ids(bodies: list[dict[str, Any]]) -> list[str]:
    return [f"{body['kind']}-{body['metadata']['name']}" for body in bodies]


@pytest.fixture
async def operator(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """A client with the rights that the chart gives the operator, and no others."""
    admin = read_kubeconfig(control_plane.kubeconfig)
    async with KubeClient(admin, agent="test") as client:
        await bootstrap.grant_rights(client, operator_rules())
        token = await bootstrap.request_token(client)
    connection = Connection(server=admin.server, tls=admin.tls, token=token)
    async with KubeClient(connection, agent="test") as client:
        yield client


@pytest.fixture
def restricted(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace that refuses every pod below the restricted profile."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", name)
    modes = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    control_plane.kubectl("label", "namespace", name, *modes)
    control_plane.kubectl("create", "serviceaccount", "kingmaker-workload", "-n", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


async def apply(client: KubeClient, body: dict[str, Any], namespace: str, **options: str) -> dict[str, Any]:
    """Apply as the operator does; unknown and repeated fields are errors."""
    moved = body | {"metadata": body["metadata"] | {"namespace": namespace}}
    query = {"fieldManager": "kingmaker", "force": "true", "fieldValidation": "Strict"} | options
    words = "&".join(f"{key}={value}" for key, value in query.items())
    if body["kind"] in {"Job", "Secret"}:
        return await create_once(client, moved, namespace, words.replace("&force=true", ""))
    return await client.patch(f"{path_of(body, namespace)}/{body['metadata']['name']}?{words}", moved, kind=APPLY)


async def create_once(client: KubeClient, body: dict[str, Any], namespace: str, words: str) -> dict[str, Any]:
    """Create a Job or a Secret, which the operator never changes; the second time read it, if that is allowed."""
    try:
        return await client.create(f"{path_of(body, namespace)}?{words}", body)
    except ApiError as error:
        if error.status != 409:
            raise
        if body["kind"] == "Secret":
            return body
        return await client.get(f"{path_of(body, namespace)}/{body['metadata']['name']}")


@pytest.mark.parametrize("body", BUILT_IN, ids=ids(BUILT_IN))
async def test_a_dry_run_accepts_it_from_the_operator(
    body: dict[str, Any], operator: KubeClient, namespace: str
) -> None:
    answer = await apply(operator, body, namespace, dryRun="All")
    assert answer["kind"] == body["kind"]


@pytest.mark.parametrize("body", BUILT_IN, ids=ids(BUILT_IN))
async def test_what_was_applied_is_what_was_wanted(body: dict[str, Any], operator: KubeClient, namespace: str) -> None:
    first = await apply(operator, body, namespace)
    again = await apply(operator, body, namespace)
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    assert contains(again, body | {"metadata": metadata})
    assert first["metadata"].get("generation") == again["metadata"].get("generation")


@pytest.mark.parametrize("body", OWN, ids=ids(OWN))
async def test_kinds_of_its_own_are_accepted_too(
    body: dict[str, Any], crds: ControlPlane, operator: KubeClient, namespace: str
) -> None:
    moved = body | {"metadata": body["metadata"] | {"namespace": namespace}}
    answer = await operator.create(
        f"{path_of(body, namespace)}?dryRun=All&fieldValidation=Strict&fieldManager=kingmaker", moved
    )
    assert contains(answer["spec"], body["spec"])


@pytest.mark.parametrize("amount", ["0.5", "1000m", "1500m", "2", "1e3", "12E2", "1.5Gi", "1024Mi", "100Ki", "0.1M"])
async def test_amounts_are_written_as_the_server_reads_them(amount: str, operator: KubeClient, namespace: str) -> None:
    deployment = a_deployment(serving={"resources": {"requests": {"cpu": amount}}})
    body = variant_deployment(deployment, a_model(), replicas=1, settings=SETTINGS)
    answer = await apply(operator, body, namespace, dryRun="All")
    assert contains(answer["spec"], body["spec"])


@pytest.mark.parametrize("body", PODS, ids=ids(PODS))
async def test_its_pods_pass_the_restricted_profile(
    body: dict[str, Any], control_plane: ControlPlane, restricted: str
) -> None:
    template = body["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod"} | template
    pod |= {"metadata": template["metadata"] | {"name": "pod", "namespace": restricted}}
    pod["spec"].setdefault("restartPolicy", "Always")
    whole = body | {"metadata": body["metadata"] | {"namespace": restricted}}
    for one in (pod, whole):
        said = control_plane.kubectl(
            "create", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(one)
        )
        assert said.stderr == ""


async def test_two_deployments_never_share_a_variant_by_name(operator: KubeClient, namespace: str) -> None:
    # "churn" + "x-1" and "churn-x" + "1" give the same name; the second must fail instead of taking over.
    one = variant_deployment(a_deployment("churn", uid="1"), a_model("x-1"), replicas=1, settings=SETTINGS)
    two = variant_deployment(a_deployment("churn-x", uid="2"), a_model("1"), replicas=1, settings=SETTINGS)
    assert one["metadata"]["name"] == two["metadata"]["name"]
    for body in (one, two):
        # These owners don't exist: the garbage collector would take the first away before the second comes.
        del body["metadata"]["ownerReferences"]
    await apply(operator, one, namespace)
    with pytest.raises(ApiError) as refused:
        await apply(operator, two, namespace)
    assert refused.value.status == 422


@pytest.mark.parametrize(("verb", "path"), [("get", "secrets"), ("get", "configmaps?labelSelector=x%3Dy")])
async def test_the_rules_are_what_decides(verb: str, path: str, operator: KubeClient, namespace: str) -> None:
    request = operator.get(f"/api/v1/namespaces/{namespace}/{path}")
    if path == "secrets":
        with pytest.raises(ApiError, match="forbidden"):
            await request
    else:
        assert (await request)["items"] == []
