"""Put into an empty API server what the operator needs: the CRDs, its namespace, its ServiceAccount and its rights."""

from typing import Any, Final

from kingmaker.kube.client import Document, KubeClient
from kingmaker.kube.errors import ApiError

NAMESPACE: Final = "kingmaker-system"
ACCOUNT: Final = "kingmaker"

_APPLY: Final = "application/apply-patch+yaml"
_FIELD_MANAGER: Final = "kingmaker-local"
_TOKEN_SECONDS: Final = 365 * 24 * 3600
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def apply_definitions(client: KubeClient, definitions: list[Document]) -> None:
    """Apply CustomResourceDefinitions; they are served a moment later, see `are_served`."""
    for definition in definitions:
        await _apply(client, _DEFINITIONS, definition)


async def are_served(client: KubeClient, definitions: list[Document]) -> bool:
    """Say whether objects of all these CustomResourceDefinitions can be listed.

    Raises:
        ApiError: Not yet: Established comes a moment before the server's storage is ready, which answers 429.
    """
    for definition in definitions:
        if not _is_established(await client.get(f"{_DEFINITIONS}/{definition['metadata']['name']}")):
            return False
        spec = definition["spec"]
        version = next(version["name"] for version in spec["versions"] if version["served"])
        await client.get(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}", {"limit": "1"})
    return True


async def grant_rights(client: KubeClient, rules: list[Document]) -> None:
    """Create the operator's namespace and ServiceAccount, and bind it to the chart's rules in all namespaces."""
    await _apply(client, "/api/v1/namespaces", _named("v1", "Namespace", NAMESPACE))
    account = _named("v1", "ServiceAccount", ACCOUNT, namespace=NAMESPACE)
    await _apply(client, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)
    api = "rbac.authorization.k8s.io/v1"
    role = {**_named(api, "ClusterRole", ACCOUNT), "rules": rules}
    await _apply(client, f"{_RBAC}/clusterroles", role)
    binding = {
        **_named(api, "ClusterRoleBinding", ACCOUNT),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    await _apply(client, f"{_RBAC}/clusterrolebindings", binding)


async def request_token(client: KubeClient) -> str:
    """Give a token of the operator's ServiceAccount that holds for a year; each start asks for a new one."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    answer = await client.create(path, {**request, "spec": {"expirationSeconds": _TOKEN_SECONDS}})
    return str(answer["status"]["token"])


async def exists(client: KubeClient, path: str) -> bool:
    """Say whether the object of this path is there."""
    try:
        await client.get(path)
    except ApiError as error:
        if error.is_not_found:
            return False
        raise
    return True


async def _apply(client: KubeClient, collection: str, document: Document) -> None:
    query = f"?fieldManager={_FIELD_MANAGER}&force=true"
    await client.patch(f"{collection}/{document['metadata']['name']}{query}", document, kind=_APPLY)


def _named(api: str, kind: str, name: str, **more: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "kingmaker", "app.kubernetes.io/managed-by": "kingmaker-local"}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels, **more}}


def _is_established(definition: Document) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)
