"""The Job that trains a new model when it is due: what people may choose, and on top of it what they may not."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from kingmaker.api import EnvVar, JobTemplate, Model, ModelDeployment, OutputUri, Volume
from kingmaker.core.manifests.names import retrain_job_name
from kingmaker.core.manifests.objects import Manifest, deployment_labels, manifest, owner
from kingmaker.core.manifests.pods import (
    SCRATCH_DIR,
    confined,
    default_resources,
    env,
    pod_defaults,
    resources,
    scratch_env,
    scratch_mount,
    scratch_volume,
)
from kingmaker.core.manifests.quantities import canonical_quantity
from kingmaker.core.manifests.scheduling import scheduling_fields
from kingmaker.core.manifests.settings import Settings

OUTPUT_URI: Final = "KINGMAKER_OUTPUT_URI"
TRAIN: Final = "train"
"""Name of the container whose termination message is a run's result."""

KEPT_SECONDS: Final = 7 * 24 * 3600
"""How long a Job that ended stays, for its logs and for an operator that was away: until its Model is made, only the
Job knows what the run produced."""


def retrain_job(
    mdep: ModelDeployment,
    template: JobTemplate,
    *,
    run: int,
    variables: Mapping[str, str],
    settings: Settings,
) -> Manifest:
    """Build the Job of one run. Its name is the same however often it is built, so a run starts once.

    Args:
        mdep: The owner.
        template: `spec.retraining.template`.
        run: Number of the run, rising by one per deployment.
        variables: The environment of `retrain_variables`.
        settings: How the operator was started.
    """
    meta = mdep.metadata
    own = deployment_labels(mdep, "retrain", name="kingmaker-retrain")
    head = manifest(
        "batch/v1",
        "Job",
        name=retrain_job_name(meta.name, run),
        namespace=meta.namespace,
        labels=own,
        owners=owner(mdep),
    )
    pod = (
        scheduling_fields(template)
        | pod_defaults()
        | {
            "restartPolicy": "Never",
            "containers": [_container(template, {**variables, **_output_folder(template, variables)}, settings)],
            "volumes": [*map(_volume, template.volumes), *_unless_taken(template, scratch_volume())],
        }
    )
    return head | {
        "spec": {
            "backoffLimit": template.backoff_limit,
            # Never two pods of one run at a time: they write to the same place.
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": template.deadline.seconds,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": own}, "spec": pod},
        }
    }


def run_output_uri(mdep: ModelDeployment, prefix: str, *, run: int) -> str:
    """Give the folder that one run writes to, ending with a slash: what it produced is accepted from nowhere else.

    With the uid: a ModelDeployment made anew counts its runs from the start, and never overwrites what is there.

    Args:
        mdep: Whose champion is retrained.
        prefix: `spec.retraining.output.uriPrefix`.
        run: Number of the run.
    """
    meta = mdep.metadata
    return f"{prefix.rstrip('/')}/{meta.uid}/{retrain_job_name(meta.name, run)}/"


def _output_folder(template: JobTemplate, variables: Mapping[str, str]) -> dict[str, str]:
    """Where the run finds the folder of a pvc:// URI: below the mount path of the volume that people gave it."""
    uri = variables.get(OUTPUT_URI, "")
    claim = OutputUri(uri).claim if uri else None
    for volume in template.volumes:
        source = volume.persistent_volume_claim
        if claim and source and source.claim_name == claim and not volume.read_only:
            return {"KINGMAKER_OUTPUT_DIR": f"{volume.mount_path}/{uri.removeprefix(f'pvc://{claim}/')}"}
    return {}


def retrain_variables(
    mdep: ModelDeployment,
    parent: Model,
    *,
    decision: str,
    reason: str,
    features: Sequence[str],
    window: str,
    output_uri: str,
) -> dict[str, str]:
    """Give the environment by which a trainer knows why it runs, on what, and where to write.

    Args:
        mdep: Whose champion is retrained.
        parent: The champion.
        decision: Name of the Decision.
        reason: One word, such as `Drift`.
        features: Those that drifted, worst first.
        window: The window they drifted in, such as `24h`; empty where none was looked at.
        output_uri: Of `run_output_uri`.
    """
    return {
        "KINGMAKER_DEPLOYMENT": mdep.metadata.name,
        "KINGMAKER_FAMILY": parent.spec.family,
        OUTPUT_URI: output_uri,
        "KINGMAKER_PARENT_DIGEST": parent.spec.artifact.digest,
        "KINGMAKER_PARENT_MODEL": parent.metadata.name,
        "KINGMAKER_PARENT_URI": parent.spec.artifact.uri,
        "KINGMAKER_RETRAIN_DECISION": decision,
        "KINGMAKER_RETRAIN_FEATURES": json.dumps(list(features), ensure_ascii=False),
        "KINGMAKER_RETRAIN_REASON": reason,
        "KINGMAKER_RETRAIN_WINDOW": window,
    }


def _container(template: JobTemplate, variables: Mapping[str, str], settings: Settings) -> Manifest:
    container: Manifest = {
        "name": TRAIN,
        "image": template.image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": _merged_env(template.env, variables),
        "resources": resources(template.resources, _defaults(template)),
        "volumeMounts": [*map(_mount, template.volumes), *_unless_taken(template, scratch_mount())],
        "securityContext": confined(),
        # What failed without a result has said why in its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if template.command:
        container["command"] = list(template.command)
    if template.args:
        container["args"] = list(template.args)
    return container


def _defaults(template: JobTemplate) -> Manifest:
    folders = [volume.empty_dir.size_limit for volume in template.volumes if volume.empty_dir]
    return default_resources(cpu="500m", memory="512Mi", memory_limit="4Gi", folders=folders)


def _merged_env(wanted: Sequence[EnvVar], variables: Mapping[str, str]) -> list[Manifest]:
    # Nothing that people write may stand in for what the operator says. The operator's come first in the list, so that
    # people's own may refer to them as $(NAME).
    theirs = [item.manifest() for item in wanted if item.name not in variables]
    named = {item["name"] for item in theirs}
    return [*env(**variables), *(item for item in scratch_env() if item["name"] not in named), *theirs]


def _volume(volume: Volume) -> Manifest:
    mounted = {"mountPath", "readOnly"}
    given = {key: value for key, value in volume.manifest().items() if key not in mounted}
    if volume.empty_dir:
        given["emptyDir"] = {"sizeLimit": canonical_quantity(volume.empty_dir.size_limit)}
    return given


def _mount(volume: Volume) -> Manifest:
    mount = {"name": str(volume.name), "mountPath": str(volume.mount_path)}
    return mount | ({"readOnly": True} if volume.read_only else {})


def _unless_taken(template: JobTemplate, item: Manifest) -> list[Manifest]:
    return [] if any(volume.mount_path == SCRATCH_DIR for volume in template.volumes) else [item]
