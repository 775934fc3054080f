"""What holds for every object that the operator makes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kingmaker.core.namespace import SHARED
from support.every_manifest import every_manifest

ALL = every_manifest()
IDS = [f"{body['kind']}-{body['metadata']['name']}" for body in ALL]
PODS = [body for body in ALL if "template" in body.get("spec", {})]
POD_IDS = [f"{body['kind']}-{body['metadata']['name']}" for body in PODS]


def leaves(value: Any) -> Iterator[Any]:
    """Walk through all scalars and empty containers."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from leaves(child)
    if not isinstance(value, dict | list):
        yield value


@pytest.mark.parametrize("body", ALL, ids=IDS)
def test_has_neither_nulls_nor_status(body: dict[str, Any]) -> None:
    assert None not in list(leaves(body))
    assert "status" not in body


@pytest.mark.parametrize("body", ALL, ids=IDS)
def test_is_made_of_plain_values(body: dict[str, Any]) -> None:
    # The safe dumper refuses subclasses of str, tuples and everything else that is not what JSON has.
    assert yaml.safe_load(yaml.safe_dump(body)) == json.loads(json.dumps(body)) == body


@pytest.mark.parametrize("body", ALL, ids=IDS)
def test_says_who_made_it_and_copies_no_label_of_the_parent(body: dict[str, Any]) -> None:
    labels = body["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "kingmaker"
    assert not any("argocd" in key for key in labels)
    assert "annotations" not in body["metadata"]
    assert all(len(value) <= 63 for value in labels.values())


@pytest.mark.parametrize("body", ALL, ids=IDS)
def test_is_owned_unless_it_is_the_namespaces_own(body: dict[str, Any]) -> None:
    owners = body["metadata"].get("ownerReferences", [])
    assert (not owners) == (body["kind"] == "Model" or _key(body) in SHARED)
    assert not any(owner["blockOwnerDeletion"] for owner in owners)


@pytest.mark.parametrize("body", ALL, ids=IDS)
def test_is_built_alike_every_time(body: dict[str, Any]) -> None:
    again = next(b for b in every_manifest() if (b["kind"], b["metadata"]["name"]) == _key(body))
    assert json.dumps(again) == json.dumps(body)


@pytest.mark.parametrize("body", PODS, ids=POD_IDS)
def test_every_pod_keeps_the_restricted_profile(body: dict[str, Any]) -> None:
    pod = body["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "kingmaker-workload"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(pod):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert requests.keys() == {"cpu", "memory", "ephemeral-storage"}
        assert limits.keys() >= {"memory", "ephemeral-storage"}
        # Who answers requests is never throttled.
        assert ("cpu" in limits) == (container["name"] == "verify")
    for volume in pod.get("volumes", []):
        assert volume.get("emptyDir", {"sizeLimit": ""}).keys() == {"sizeLimit"}


@pytest.mark.parametrize("body", PODS, ids=POD_IDS)
def test_every_pod_has_the_labels_that_select_it(body: dict[str, Any]) -> None:
    wanted = body["spec"].get("selector", {}).get("matchLabels", {})
    labels = body["spec"]["template"]["metadata"]["labels"]
    assert wanted.items() <= labels.items()


@pytest.mark.parametrize("body", PODS, ids=POD_IDS)
def test_every_command_is_full_and_every_reference_is_known(body: dict[str, Any]) -> None:
    pod = body["spec"]["template"]["spec"]
    for container in containers(pod):
        assert container["command"]
        named = {item["name"] for item in container["env"]}
        words = [w.replace("$$", "") for w in container["command"] + container["args"]]
        assert set(re.findall(r"\$\((\w+)\)", " ".join(words))) <= named
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounts <= {volume["name"] for volume in pod["volumes"]} if mounts else True


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def _key(body: dict[str, Any]) -> tuple[str, str]:
    return body["kind"], body["metadata"]["name"]
