"""Everything one pass about a Model has to know."""

from __future__ import annotations

from kingmaker.api import Model
from kingmaker.core.manifests.names import verify_job_name
from kingmaker.core.observed import ObservedJob
from kingmaker.core.serving.observe import job_state, model_roles
from kingmaker.core.serving.verification import ObservedModel
from kingmaker.ports import Body, Clock, Cluster


async def observe_model(cluster: Cluster, clock: Clock, body: Body) -> ObservedModel:
    """Read the snapshot of one Model.

    Raises:
        ValueError: It can't be read; the message names the field.
    """
    model = Model.parse(body)
    meta = model.metadata
    deployments, job = await cluster.users_of(meta.namespace, meta.name), await _verify_job(cluster, model)
    return ObservedModel(clock.now(), model, job, model_roles(deployments, meta.name))


async def _verify_job(cluster: Cluster, model: Model) -> ObservedJob | None:
    meta = model.metadata
    name = verify_job_name(meta.name, meta.uid, model.spec.artifact.digest)
    job = await cluster.get("Job", meta.namespace, name)
    if job is None:
        return None
    pods = await cluster.list("Pod", meta.namespace, {"batch.kubernetes.io/job-name": name})
    return job_state(job, pods)
