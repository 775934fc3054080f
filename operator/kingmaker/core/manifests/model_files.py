"""A model's files in a pod: one container downloads them with credentials, another reads them without."""

import json
from collections.abc import Mapping
from typing import Any, Final

from kingmaker.api import Artifact, FileRef, Model
from kingmaker.core.manifests.objects import Manifest
from kingmaker.core.manifests.pods import (
    TERMINATION_LOG,
    confined,
    default_resources,
    option,
    scratch_env,
    scratch_mount,
)
from kingmaker.core.manifests.quantities import canonical_quantity
from kingmaker.core.manifests.settings import Settings

MODEL_DIR: Final = "/mnt/model"
CLAIMS_DIR: Final = "/mnt/claims"
_VOLUME: Final = "model"


def model_volumes(model: Model, settings: Settings) -> list[Manifest]:
    """Give the folder that the files live in, as long as the pod, and the claims that they are copied from."""
    folder = {"name": _VOLUME, "emptyDir": {"sizeLimit": canonical_quantity(settings.model_size_limit)}}
    claims = enumerate(_claims(model))
    return [folder, *({"name": f"claim-{n}", "persistentVolumeClaim": {"claimName": name}} for n, name in claims)]


def _claims(model: Model) -> list[str]:
    """Claims that a Model's files lie on, each once."""
    spec = model.spec
    files = (spec.artifact, spec.baseline, spec.examples)
    return sorted({claim for file in files if file is not None and (claim := file.uri.claim)})


def model_mount() -> Manifest:
    """Mount the files for whoever parses them: what was verified can't be changed any more."""
    return {"name": _VOLUME, "mountPath": MODEL_DIR, "readOnly": True}


def fetch_container(model: Model, *, image: str, settings: Settings) -> Manifest:
    """Give the init container that downloads: the only one that ever sees the Secret.

    Args:
        model: Whose files are fetched, and with which Secret.
        image: The image that has the fetcher.
        settings: How the operator was started.
    """
    spec = model.spec
    args = ["--dir", MODEL_DIR, *_located("model", spec.artifact)]
    for flag, file in (("baseline", spec.baseline), ("examples", spec.examples)):
        if file is not None:
            args += _located(flag, file)
    claims = _claims(model)
    for claim in claims:
        args += option("--pvc", f"{claim}={CLAIMS_DIR}/{claim}")
    # Nobody else mounts the claims: what is served is the copy that was compared with its digest.
    mounts = [
        {"name": f"claim-{n}", "mountPath": f"{CLAIMS_DIR}/{claim}", "readOnly": True} for n, claim in enumerate(claims)
    ]
    container: Manifest = {
        "name": "fetch",
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["kingmaker-serving", "fetch"],
        "args": [*args, "--termination-log", TERMINATION_LOG],
        "env": scratch_env(),
        "resources": default_resources(
            cpu="50m", memory="128Mi", memory_limit="512Mi", folders=[settings.model_size_limit]
        ),
        "volumeMounts": [{"name": _VOLUME, "mountPath": MODEL_DIR}, scratch_mount(), *mounts],
        "securityContext": confined(),
    }
    secret = spec.artifact.credentials_secret_ref
    if secret is not None:
        container["envFrom"] = [{"secretRef": secret.manifest()}]
    return container


def model_arguments(model: Model, *, signature: bool) -> list[str]:
    """Give the arguments by which a server or a verifier knows what the files must be."""
    spec = model.spec
    return [
        *option("--model-digest", spec.artifact.digest),
        *option("--baseline-digest", spec.baseline.digest if spec.baseline else None),
        *option("--examples-digest", spec.examples.digest if spec.examples else None),
        *option("--signature", canonical(spec.signature.manifest()) if spec.signature and signature else None),
        # Which class is looked for matters to whoever judges, and servers refuse what they don't know.
        *option("--task", canonical(_without_positive(spec.task.manifest())) if spec.task else None),
    ]


def _without_positive(task: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in task.items() if key != "positive"}


def _located(flag: str, file: Artifact | FileRef) -> list[str]:
    return [*option(f"--{flag}-uri", file.uri), *option(f"--{flag}-digest", file.digest)]


def canonical(value: Mapping[str, Any]) -> str:
    """Write JSON that is the same for equal values, so that a pod template changes only with its meaning."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
