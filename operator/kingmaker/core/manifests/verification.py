"""The Job that verifies a Model before anybody serves it."""

from typing import Final

from kingmaker.api import Model
from kingmaker.core.manifests.model_files import MODEL_DIR, fetch_container, model_arguments, model_mount, model_volumes
from kingmaker.core.manifests.names import bounded, verify_job_name
from kingmaker.core.manifests.objects import MODEL, Manifest, labels, manifest, owner
from kingmaker.core.manifests.pods import (
    TERMINATION_LOG,
    confined,
    default_resources,
    pod_defaults,
    scratch_env,
    scratch_mount,
    scratch_volume,
)
from kingmaker.core.manifests.settings import Settings

VERIFY: Final = "verify"
"""Name of the container whose termination message says what was found in a model."""

KEPT_SECONDS: Final = 3600
"""How long a Job that ended stays, for its logs."""


def verify_job(model: Model, *, settings: Settings) -> Manifest:
    """Build the Job that downloads a Model, compares digests, loads it and runs its examples.

    The file is strangers' code until then: what parses it has no credentials, no token, and little memory.
    """
    meta = model.metadata
    own = labels("kingmaker-verify", instance=meta.name, component="verify") | {MODEL: bounded(meta.name)}
    head = manifest(
        "batch/v1",
        "Job",
        name=verify_job_name(meta.name, meta.uid, model.spec.artifact.digest),
        namespace=meta.namespace,
        labels=own,
        owners=owner(model),
    )
    # A download may succeed the next time; a file that was refused stays refused.
    refused = {"containerName": VERIFY, "operator": "In", "values": [1, 2]}
    return head | {
        "spec": {
            "backoffLimit": 2,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": refused}]},
            "activeDeadlineSeconds": settings.verify_deadline_seconds,
            # The verdict is in the Model's status by then, which no Job is made for again. Where the operator was away
            # for that long, the Model is verified once more.
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": own}, "spec": _pod(model, settings)},
        }
    }


def _pod(model: Model, settings: Settings) -> Manifest:
    return pod_defaults() | {
        "restartPolicy": "Never",
        "initContainers": [fetch_container(model, image=settings.serving_image, settings=settings)],
        "containers": [_container(model, settings)],
        "volumes": [*model_volumes(model, settings), scratch_volume()],
    }


def _container(model: Model, settings: Settings) -> Manifest:
    return {
        "name": VERIFY,
        "image": settings.serving_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["kingmaker-serving", "verify"],
        "args": [
            *("--dir", MODEL_DIR),
            *model_arguments(model, signature=True),
            *("--termination-log", TERMINATION_LOG),
        ],
        "env": scratch_env(),
        "resources": _resources(settings),
        "volumeMounts": [model_mount(), scratch_mount()],
        "securityContext": confined(),
    }


def _resources(settings: Settings) -> Manifest:
    found = default_resources(
        cpu="100m", memory="256Mi", memory_limit=settings.verify_memory, folders=[settings.model_size_limit]
    )
    # Nobody waits for the answer, and what runs is not trusted yet: here a limit costs nothing.
    found["limits"]["cpu"] = "1"
    return found
