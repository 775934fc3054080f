"""The verify Job: a stranger's file is parsed without credentials, and once."""

import json

from kingmaker.core.manifests.verification import verify_job
from support.every_manifest import SETTINGS, TENSORS, a_full_model
from support.manifest_objects import DIGEST, a_model


def test_the_container_that_parses_has_no_credentials() -> None:
    pod = verify_job(a_full_model(), settings=SETTINGS)["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "envFrom" not in pod["containers"][0]
    assert all("valueFrom" not in item for item in pod["containers"][0]["env"])


def test_it_is_told_what_the_files_must_be() -> None:
    args = verify_job(a_full_model(), settings=SETTINGS)["spec"]["template"]["spec"]["containers"][0]["args"]
    given = dict(zip(args[::2], args[1::2], strict=True))
    assert json.loads(given["--signature"]) == TENSORS
    assert {given[f"--{file}-digest"] for file in ("model", "baseline", "examples")} == {DIGEST}
    assert given["--termination-log"] == "/dev/termination-log"


def test_a_refused_file_is_not_looked_at_again_but_a_failed_download_is() -> None:
    spec = verify_job(a_model(), settings=SETTINGS)["spec"]
    rule = spec["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["containerName"] == "verify"
    assert spec["backoffLimit"] == 2


def test_it_goes_once_its_verdict_was_read() -> None:
    assert verify_job(a_model(), settings=SETTINGS)["spec"]["ttlSecondsAfterFinished"] == 3600


def test_the_model_owns_it() -> None:
    owners = verify_job(a_model(uid="u"), settings=SETTINGS)["metadata"]["ownerReferences"]
    assert [(o["kind"], o["name"], o["uid"], o["controller"]) for o in owners] == [("Model", "churn-1", "u", True)]
