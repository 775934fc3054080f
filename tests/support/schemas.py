"""The API of Kubernetes, version by version, as its own schemas tell it: fields that a version lacks are refused."""

import re
from functools import cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource

OLDEST = (1, 30)
"""What Chart.yaml asks for."""

VERSIONS = tuple(v for v in dict.fromkeys(all_versions()) if tuple(map(int, v.split(".")))[:2] >= OLDEST)


def errors(document: dict[str, Any], version: str) -> list[str]:
    """Say what a version of Kubernetes would not know or accept in a manifest, as `path: what`."""
    found = _validator(document["kind"], document["apiVersion"], version).iter_errors(document)
    name = f"{document['kind']} {document['metadata']['name']}"
    return [f"{version} {name} {'.'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in found]


@cache
def _validator(kind: str, api_version: str, version: str) -> Validator:
    # rbac.authorization.k8s.io/v1 lies in the file of rbac-v1.
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    folder = f"kubernetes-json-schema/v{version}-local-strict"
    schema = schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=_definitions(folder, version))


@cache
def _definitions(folder: str, version: str) -> Registry:
    definitions = Resource.from_contents(schema_contents(f"{folder}/_definitions.json", version))
    return definitions @ Registry()
