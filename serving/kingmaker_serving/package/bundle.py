"""Turn an ONNX file and its training rows into a Model: artifact, baseline, examples and manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from kingmaker_serving.counts.baseline import read_baseline
from kingmaker_serving.digest import sha256
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import BASELINE, EXAMPLES
from kingmaker_serving.models.examples import write_examples
from kingmaker_serving.models.session import ModelSession
from kingmaker_serving.package.document import DocumentBuilder, Progress, ReferenceRows, fixed_rows
from kingmaker_serving.package.files import read_model, write_model
from kingmaker_serving.package.holdout import JudgedRows, held_out_of
from kingmaker_serving.package.manifest import model_manifest
from kingmaker_serving.package.rows import cast_labels, tensors_from
from kingmaker_serving.package.tables import Table, as_table
from kingmaker_serving.package.times import read_times
from kingmaker_serving.protocol.signature import Signature, Task, TaskType, check_task

_DOCUMENTS: Final = {"baseline": BASELINE, "examples": EXAMPLES}


@dataclass(frozen=True, slots=True)
class PackageResult:
    """What was written.

    `report` is what a retraining Job says in its termination message, `warnings` what the baseline is not good for.
    """

    folder: Path
    report: dict[str, Any]
    manifest: str
    warnings: tuple[str, ...] = ()


def package(
    *,
    onnx: bytes | Path,
    rows: Any,  # noqa: ANN401  # see `rows`
    labels: Any = None,  # noqa: ANN401
    feature_names: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    holdout: Any = None,  # noqa: ANN401
    holdout_labels: Any = None,  # noqa: ANN401
    times: Any = None,  # noqa: ANN401
    importance_rows: int | None = None,
    task: Task | Mapping[str, str] | None = None,
    name: str,
    family: str,
    version: str,
    out: Path,
    uri_prefix: str | None = None,
    metrics: Mapping[str, float | str] | None = None,
    dataset: str = "holdout",
    parent: str | None = None,
    framework: str | None = None,
    training_data: Sequence[Mapping[str, Any]] = (),
    built_by: str | None = None,
    built_at: datetime | None = None,
    examples: int = 5,
    progress: Progress = lambda _: None,
) -> PackageResult:
    """Write `model.onnx`, `baseline.json`, `examples.json` and `model.yaml` into a folder.

    A model with external data gets its other files and a `manifest.json` there, too.

    Args:
        onnx: The model, as bytes or as a file; as a file when it has external data.
        rows: Reference rows: an array (rows, columns) for a model of one input, a mapping of tensors or columns by
            name, or a data frame of pandas, Polars or Arrow. At least 5,000 make small drifts visible.
        labels: True answers per row; with them the baseline holds the reference errors.
        feature_names: Names of the columns, for rows without names.
        categorical: Names of features whose numbers are no quantities, such as codes. Texts, truth values and what a
            data frame says are categories need not be named.
        holdout: Which rows the model was not fitted on; predictions and scores are of these alone, since on others it
            is surer than on new ones. A number in (0, 1): that share of `rows`, the last ones. One truth value per row:
            those that are true. Else rows by themselves, as `rows`. None: nobody knows.
        holdout_labels: True answers of held-out rows that are none of `rows`.
        times: When each of `rows` was: times, ISO 8601 or seconds since 1970. With them the baseline holds by how much
            counts vary from window to window, and the season of a day.
        importance_rows: Rows that are shuffled to see which features move the model; None for as many as suit the
            number of features, 0 for none.
        task: Which output means what; None finds it when the outputs leave no doubt.
        name: Name of the Model resource.
        family: Only models of one family contest each other.
        version: For people.
        out: Folder; created.
        uri_prefix: Where the files can be read from once they are there; None for `out` itself.
        metrics: Measured figures by name.
        dataset: What they were measured on.
        parent: Name of the Model that this one is derived from.
        framework: What it was trained with; None for what the file says.
        training_data: Entries of `lineage.trainingData`: uri, and digest and rows where known.
        built_by: Who or what trained it.
        built_at: When; None for now.
        examples: Rows that become examples, 0..100.
        progress: Told in words how far long work is, often.

    Raises:
        VerbError: The model does not load, or rows and model do not fit; the message says what to do.
    """
    content, files = read_model(onnx)
    session = ModelSession(content, files=files)
    known = _read_task(task, session.signature)
    given = _as_given(rows)
    feeds = tensors_from(given, session.signature, feature_names)
    seconds = None if times is None else read_times(times)
    judged = all_rows = JudgedRows(feeds, _labels(labels, known, session.signature), seconds)
    step = fixed_rows(session.signature)
    if holdout is not None:
        apart = held_out_of(all_rows, holdout, step)
        judged = apart or _rows_apart(holdout, holdout_labels, known, session.signature, feature_names)
    names = _feature_names(session.signature, feature_names, given)
    reference = ReferenceRows(all_rows, names, _categorical(categorical, given, names))
    builder = DocumentBuilder(session, known, progress)
    documents = {
        "baseline": builder.build(reference, judged, importance_rows),
        "examples": write_examples(session, _requests(feeds, examples, step)),
    }
    read_baseline(documents["baseline"], session.signature)
    out.mkdir(parents=True, exist_ok=True)
    prefix = (uri_prefix if uri_prefix is not None else out.absolute().as_uri()).rstrip("/")
    file, digest = write_model(out, content, files)
    report: dict[str, Any] = {"artifact": {"uri": f"{prefix}/{file}", "digest": digest}}
    for part, file in _DOCUMENTS.items():
        (out / file).write_bytes(documents[part])
        report[part] = {"uri": f"{prefix}/{file}", "digest": sha256(documents[part])}
    report |= {
        "task": msgspec.to_builtins(known) if known else None,
        "metrics": [{"name": key, "value": str(value), "dataset": dataset} for key, value in (metrics or {}).items()],
        "trainingData": [dict(entry) for entry in training_data],
        "framework": framework or session.file.producer or None,
    }
    report = {key: value for key, value in report.items() if value}
    spec = _spec(report, family, version, parent, built_by, built_at or datetime.now(UTC))
    manifest = model_manifest(name, spec, labels={"kingmaker.dev/family": family})
    (out / "model.yaml").write_text(manifest, encoding="utf-8")
    return PackageResult(out, report, manifest, tuple(builder.warnings))


def _spec(
    report: Mapping[str, Any], family: str, version: str, parent: str | None, built_by: str | None, built_at: datetime
) -> dict[str, Any]:
    lineage = {
        "builtAt": built_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "builtBy": built_by,
        "framework": report.get("framework"),
        "trainingData": report.get("trainingData"),
        "parentRef": {"name": parent} if parent else None,
    }
    spec = {
        "family": family,
        "version": version,
        "artifact": {"format": "ONNX"} | report["artifact"],
        "baseline": report["baseline"],
        "examples": report["examples"],
        "task": report.get("task"),
        "lineage": {key: value for key, value in lineage.items() if value},
        "metrics": report.get("metrics"),
    }
    return {key: value for key, value in spec.items() if value}


def _read_task(task: Task | Mapping[str, str] | None, signature: Signature) -> Task | None:
    if task is None:
        known = _find_task(signature)
    elif isinstance(task, Task):
        known = task
    else:
        try:
            known = msgspec.convert(dict(task), type=Task)
        except msgspec.ValidationError as error:
            raise VerbError(Reason.SIGNATURE_MISMATCH, f"task {dict(task)} can't be read: {error}") from error
    if known is not None:
        check_task(known, signature)
    return known


def _find_task(signature: Signature) -> Task | None:
    """Find the task of a classifier as converters write it: classes in one output, probabilities in the other."""
    classes = [s for s in signature.outputs if s.datatype in {"INT64", "INT32", "BYTES"} and len(s.shape) == 1]
    chances = [s for s in signature.outputs if s.datatype in {"FP32", "FP64"} and len(s.shape) == 2]
    if len(classes) != 1 or len(chances) > 1 or len(signature.outputs) != 1 + len(chances):
        return None
    return Task(TaskType.CLASSIFICATION, classes[0].name, chances[0].name if chances else None)


def _as_given(rows: Any) -> np.ndarray | Table:  # noqa: ANN401
    """Take rows as they are, an array without names, or as columns by name."""
    return rows if isinstance(rows, np.ndarray) and not rows.dtype.names else as_table(rows)


def _labels(labels: Any, task: Task | None, signature: Signature) -> np.ndarray | None:  # noqa: ANN401
    spec = signature.output(task.label) if task is not None else None
    return None if labels is None or spec is None else cast_labels(labels, spec)


def _rows_apart(
    rows: Any,  # noqa: ANN401
    labels: Any,  # noqa: ANN401
    task: Task | None,
    signature: Signature,
    names: Sequence[str] | None,
) -> JudgedRows:
    """Take rows that are none of the reference as those that were held out."""
    feeds = tensors_from(_as_given(rows), signature, names)
    return JudgedRows(feeds, _labels(labels, task, signature), held_out=True)


def _categorical(
    declared: Sequence[str], rows: np.ndarray | Table, names: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Put together what people say and what their data frame says of columns that are features."""
    features = {name for input_name, own in names.items() for name in (own or [input_name])}
    return frozenset(declared) | (rows.categorical & features if isinstance(rows, Table) else frozenset())


def _feature_names(
    signature: Signature, given: Sequence[str] | None, rows: np.ndarray | Table
) -> dict[str, Sequence[str]]:
    """Name the columns of every input that has columns."""
    named: dict[str, Sequence[str]] = {}
    for spec in signature.inputs:
        if len(spec.shape) > 2 or spec.datatype == "BF16" or spec.optional:
            continue
        own: Sequence[str] | None = given if len(signature.inputs) == 1 else None
        if own is None and len(signature.inputs) == 1 and isinstance(rows, Table) and spec.name not in rows.columns:
            own = list(rows.columns)
        named[spec.name] = list(own) if own is not None else []
    return named


def _requests(feeds: Mapping[str, np.ndarray], count: int, step: int | None) -> list[dict[str, np.ndarray]]:
    """Take rows spread evenly over the reference, one per example, or as many as the model takes at a time."""
    size = step or 1
    runs = len(next(iter(feeds.values()))) // size
    picked = (
        np.unique(np.linspace(0, runs - 1, num=min(count, runs, 100)).astype(int)) if count else np.empty(0, dtype=int)
    )
    return [{name: array[run * size : (run + 1) * size] for name, array in feeds.items()} for run in picked]


__all__ = ["PackageResult", "package"]
