"""Files on claims: mounted to be read, by the container that copies them and by no other."""

from typing import Any

import pytest

from kingmaker.core.manifests.serving import variant_deployment
from kingmaker.core.manifests.verification import verify_job
from support.every_manifest import SETTINGS, a_full_deployment
from support.manifests import DIGEST
from support.world import a_model as a_parsed_model


def pod_of(which: str) -> dict[str, Any]:
    artifact = {"format": "ONNX", "uri": "pvc://models/churn/1.onnx", "digest": DIGEST}
    files = {part: {"uri": f"pvc://references.team/{part}.json", "digest": DIGEST} for part in ("baseline", "examples")}
    body = a_parsed_model("churn-1", "a").manifest()
    model = type(a_parsed_model("churn-1", "a")).parse(body | {"spec": body["spec"] | files | {"artifact": artifact}})
    if which == "verify":
        made = verify_job(model, settings=SETTINGS)
    else:
        made = variant_deployment(a_full_deployment(), model, replicas=1, settings=SETTINGS)
    return made["spec"]["template"]["spec"]


@pytest.mark.parametrize("which", ["verify", "serve"])
def test_only_the_fetching_container_mounts_claims(which: str) -> None:
    pod = pod_of(which)
    claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {"claim-0": {"claimName": "models"}, "claim-1": {"claimName": "references.team"}}
    [fetch], [main] = pod["initContainers"], pod["containers"]
    assert [m for m in fetch["volumeMounts"] if m["name"] in claims] == [
        {"name": "claim-0", "mountPath": "/mnt/claims/models", "readOnly": True},
        {"name": "claim-1", "mountPath": "/mnt/claims/references.team", "readOnly": True},
    ]
    assert not [m for m in main["volumeMounts"] if m["name"] in claims]
    named = [value for flag, value in zip(fetch["args"], fetch["args"][1:], strict=False) if flag == "--pvc"]
    assert named == ["models=/mnt/claims/models", "references.team=/mnt/claims/references.team"]
