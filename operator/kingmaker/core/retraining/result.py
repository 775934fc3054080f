"""What a finished run says it made: the termination message of its Job, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kingmaker.api import Artifact, FileRef, Metric, Task, TrainingData
from kingmaker.core.manifests.records import RunResult
from kingmaker.core.manifests.retraining import run_output_uri
from kingmaker.core.observed import Observed
from kingmaker.core.state import Run


class InvalidResultError(ValueError):
    """A finished run's message is not what a run must say."""


def run_result(observed: Observed, run: Run, message: str) -> RunResult:
    """Read what a finished run produced, and refuse files that lie elsewhere than where it was told to write.

    Whoever downloads them has the champion's credentials: an address of the trainer's choice would be handed those.

    Args:
        observed: The snapshot, for where the spec tells runs to write.
        run: The run.
        message: The termination message of its Job.

    Raises:
        InvalidResultError: with what was found and what was expected.
    """
    result = parse_result(message)
    spec = observed.mdep.spec.retraining
    if spec is None:
        return result
    prefix = run_output_uri(observed.mdep, spec.output.uri_prefix, run=run.number)
    for name, file in (("artifact", result.artifact), ("baseline", result.baseline), ("examples", result.examples)):
        if file is not None and not file["uri"].startswith(prefix):
            msg = f"{name} is at {file['uri']}, outside of KINGMAKER_OUTPUT_URI, which was {prefix}: write it there"
            raise InvalidResultError(msg)
    return result


def parse_result(message: str) -> RunResult:
    """Read the termination message of a finished run.

    Raises:
        InvalidResultError: with what was found and what was expected.
    """
    try:
        result: Any = json.loads(message)
    except ValueError as error:
        found = f"found {message[:80]!r}" if message.strip() else "found nothing"
        msg = f"the termination message must be one JSON object; {found}"
        raise InvalidResultError(msg) from error
    if not isinstance(result, Mapping):
        msg = f"the termination message must be a JSON object, found {type(result).__name__}"
        raise InvalidResultError(msg)
    try:
        artifact = Artifact.model_validate({"format": "ONNX", **_mapping(result, "artifact")})
        files = {name: _optional(FileRef, result.get(name)) for name in ("baseline", "examples")}
        return RunResult(
            artifact={"uri": artifact.uri, "digest": artifact.digest},
            baseline=files["baseline"],
            examples=files["examples"],
            task=_optional(Task, result.get("task")),
            metrics=tuple(Metric.model_validate(m).manifest() for m in result.get("metrics") or ()),
            training_data=tuple(TrainingData.model_validate(d).manifest() for d in result.get("trainingData") or ()),
            framework=str(result["framework"])[:512] if result.get("framework") else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        msg = f"the termination message is not a result: {error.title} {place}: {first['msg']}"
        raise InvalidResultError(msg) from error


def _mapping(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = result.get(name)
    if not isinstance(value, Mapping):
        msg = f"the termination message has no {name!r} with uri and digest"
        raise InvalidResultError(msg)
    return value


def _optional(kind: Any, value: Any) -> dict[str, Any] | None:  # noqa: ANN401  # a model class and any JSON
    return None if value is None else kind.model_validate(value).manifest()
