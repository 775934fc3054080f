"""The Job of one run: what people choose is kept, what they may not choose is put over it."""

import json
from typing import Any

from support.every_manifest import SETTINGS, TEMPLATE, a_full_deployment, a_retrain_job

SETTINGS_IMAGE = SETTINGS.serving_image


def container_of(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]["containers"][0]


def variables_of(job: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "") for item in container_of(job)["env"]}


def test_a_run_has_one_name_and_runs_have_many() -> None:
    deployment = a_full_deployment()
    names = [a_retrain_job(deployment, run=run)["metadata"]["name"] for run in (1, 1, 2)]
    assert names == ["churn-retrain-1", "churn-retrain-1", "churn-retrain-2"]


def test_the_trainer_knows_why_on_what_and_where_to() -> None:
    assert variables_of(a_retrain_job(a_full_deployment(), env=[])) == {
        "KINGMAKER_DEPLOYMENT": "churn",
        "KINGMAKER_FAMILY": "churn",
        "KINGMAKER_OUTPUT_URI": "s3://models/churn/0c0ffee0-0000-4000-8000-000000000001/churn-retrain-1/",
        "KINGMAKER_PARENT_DIGEST": "sha256:" + "1" * 64,
        "KINGMAKER_PARENT_MODEL": "churn-1",
        "KINGMAKER_PARENT_URI": "s3://models/churn-1/model.onnx",
        "KINGMAKER_RETRAIN_DECISION": "churn-000004",
        "KINGMAKER_RETRAIN_FEATURES": '["age", "plan"]',
        "KINGMAKER_RETRAIN_REASON": "Drift",
        "KINGMAKER_RETRAIN_WINDOW": "24h",
        "HOME": "/run/kingmaker/scratch",
        "TMPDIR": "/run/kingmaker/scratch",
    }


def test_what_people_chose_is_kept() -> None:
    job = a_retrain_job(a_full_deployment(), deadline="2h", backoffLimit=1)
    train = container_of(job)
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (7200, 1)
    assert (train["name"], train["image"]) == ("train", "registry.example/trainer:1")
    assert (train["command"], train["args"]) == (TEMPLATE["command"], TEMPLATE["args"])
    assert train["env"][-3:] == TEMPLATE["env"]
    assert train["resources"]["limits"] == {"memory": "1Gi", "ephemeral-storage": "12Gi"}
    pod = job["spec"]["template"]["spec"]
    assert (pod["nodeSelector"], pod["tolerations"]) == (TEMPLATE["nodeSelector"], TEMPLATE["tolerations"])


def test_volumes_become_a_volume_and_a_mount() -> None:
    pod = a_retrain_job(a_full_deployment())["spec"]["template"]["spec"]
    assert pod["volumes"][:3] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "conf", "configMap": {"name": "train"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}},
    ]
    assert pod["containers"][0]["volumeMounts"][0] == {"name": "data", "mountPath": "/data", "readOnly": True}


def test_a_command_that_was_left_out_is_the_images_own() -> None:
    train = container_of(a_retrain_job(a_full_deployment(), command=[], args=[]))
    assert "command" not in train
    assert "args" not in train


def test_the_folder_of_a_claim_is_told_where_people_mounted_it() -> None:
    work = {"name": "out", "mountPath": "/out", "persistentVolumeClaim": {"claimName": "models"}}
    other = {"name": "in", "mountPath": "/in", "persistentVolumeClaim": {"claimName": "models"}, "readOnly": True}
    job = a_retrain_job(a_full_deployment(), prefix="pvc://models/churn", volumes=[other, work])
    folder = "churn/0c0ffee0-0000-4000-8000-000000000001/churn-retrain-1/"
    assert variables_of(job)["KINGMAKER_OUTPUT_URI"] == f"pvc://models/{folder}"
    assert variables_of(job)["KINGMAKER_OUTPUT_DIR"] == f"/out/{folder}"


def test_no_variable_of_the_operator_can_be_replaced() -> None:
    # The API refuses KINGMAKER_ names; a Job template that got past it must not win either.
    mine = {"name": "HOME", "value": "/data"}
    env = container_of(a_retrain_job(a_full_deployment(), env=[mine]))["env"]
    names = [item["name"] for item in env]
    assert len(names) == len(set(names))
    assert mine in env


def test_a_volume_of_their_own_takes_the_place_of_the_scratch_folder() -> None:
    volume = {"name": "big", "mountPath": "/run/kingmaker/scratch", "persistentVolumeClaim": {"claimName": "big"}}
    pod = a_retrain_job(a_full_deployment(), volumes=[volume])["spec"]["template"]["spec"]
    assert [v["name"] for v in pod["volumes"]] == ["big"]


def test_a_trainer_that_only_logged_why_it_failed_is_heard() -> None:
    container = container_of(a_retrain_job(a_full_deployment(), run=1))
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_job_stays_long_enough_for_an_operator_that_was_away() -> None:
    assert a_retrain_job(a_full_deployment(), run=1)["spec"]["ttlSecondsAfterFinished"] == 7 * 24 * 3600


def test_a_job_gets_neither_token_nor_second_pod() -> None:
    job = a_retrain_job(a_full_deployment())
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert SETTINGS_IMAGE not in json.dumps(job)
