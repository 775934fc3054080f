"""Turn an ONNX file and its training rows into a Model: artifact, baseline, examples and manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from kingmaker_serving.counts.baseline import FORMAT, Baseline, Column, read_baseline
from kingmaker_serving.digest import sha256
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import BASELINE, EXAMPLES
from kingmaker_serving.models.examples import write_examples
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.package.files import read_model, write_model
from kingmaker_serving.package.manifest import model_manifest
from kingmaker_serving.package.reference import SCORE_CELLS, build_column
from kingmaker_serving.package.rows import Table, cast_labels, tensors_from
from kingmaker_serving.protocol.signature import Signature, Task, TaskType, TensorSpec, check_task

DECISION_THRESHOLD: Final = 0.5
"""Probability from which a binary classifier says yes; an edge of the score's cells."""
_DOCUMENTS: Final = {"baseline": BASELINE, "examples": EXAMPLES}
_MAX_FEATURES: Final = 1000
_BATCH: Final = 4096


@dataclass(frozen=True, slots=True)
class PackageResult:
    """What was written. `report` is what a retraining Job says in its termination message."""

    folder: Path
    report: dict[str, Any]
    manifest: str


def package(
    *,
    onnx: bytes | Path,
    rows: Any,  # noqa: ANN401  # see `rows`
    labels: Any = None,  # noqa: ANN401
    feature_names: Sequence[str] | None = None,
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
) -> PackageResult:
    """Write `model.onnx`, `baseline.json`, `examples.json` and `model.yaml` into a folder.

    A model with external data gets its other files and a `manifest.json` there, too.

    Args:
        onnx: The model, as bytes or as a file; as a file when it has external data.
        rows: Reference rows: an array (rows, columns) for a model of one input, a mapping of tensors or columns by
            name, or a data frame. At least 5,000 make small drifts visible.
        labels: True answers per row; with them the baseline holds the reference errors.
        feature_names: Names of the columns, for rows without names.
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

    Raises:
        VerbError: The model does not load, or rows and model do not fit; the message says what to do.
    """
    content, files = read_model(onnx)
    session = ModelSession(content, files=files)
    known = _read_task(task, session.signature)
    feeds = tensors_from(rows, session.signature, feature_names)
    step = _step(session.signature)
    outputs = _predict(session, feeds, known, step)
    names = _feature_names(session.signature, feature_names, rows)
    document = _baseline(session.signature, feeds, outputs, known, labels, names)
    documents = {
        "baseline": msgspec.json.format(msgspec.json.encode(document), indent=1),
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
    return PackageResult(out, report, manifest)


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


def _step(signature: Signature) -> int | None:
    """Give the number of rows of every run, where the file fixes it."""
    return next((spec.shape[0] for spec in signature.inputs if spec.shape and spec.shape[0] > 0), None)


def _predict(
    session: ModelSession, feeds: Mapping[str, np.ndarray], task: Task | None, step: int | None
) -> dict[str, np.ndarray]:
    """Give what the model answers to the reference rows, as far as the task needs it."""
    names = [name for name in (task.label, task.score) if name is not None] if task is not None else []
    if not names:
        return {}
    rows, size = len(next(iter(feeds.values()))), step or _BATCH
    parts = [
        session.run({name: array[begin : begin + size] for name, array in feeds.items()}, names, Stop()).outputs
        for begin in range(0, rows, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _feature_names(
    signature: Signature,
    given: Sequence[str] | None,
    rows: Any,  # noqa: ANN401
) -> dict[str, list[str]]:
    """Name the columns of every input that has columns."""
    named: dict[str, list[str]] = {}
    for spec in signature.inputs:
        if len(spec.shape) > 2 or spec.datatype == "BF16" or spec.optional:
            continue
        own: Sequence[Any] | None = given if len(signature.inputs) == 1 else None
        if own is None and len(signature.inputs) == 1 and not isinstance(rows, np.ndarray):
            columns = rows.columns if hasattr(rows, "columns") else rows
            own = [str(key) for key in columns] if spec.name not in columns else None
        named[spec.name] = list(own) if own is not None else []
    return named


def _baseline(
    signature: Signature,
    feeds: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    task: Task | None,
    labels: Any,  # noqa: ANN401
    names: Mapping[str, Sequence[str]],
) -> Baseline:
    features: list[Column] = []
    for spec in signature.inputs:
        if spec.name in names:
            features += _features(spec, feeds[spec.name], list(names[spec.name]))
    if len(features) > _MAX_FEATURES:
        message = f"the model has {len(features)} feature columns, at most {_MAX_FEATURES} can be watched"
        raise VerbError(Reason.INVALID_BASELINE, message)
    rows = len(next(iter(feeds.values())))
    document = Baseline(FORMAT, rows, features)
    if task is not None:
        wrong = _wrong(task, signature, outputs, labels)
        document.prediction = _prediction(task, signature, outputs, wrong, labels)
        document.score = _score(task, signature, outputs, wrong)
    return document


def _features(spec: TensorSpec, array: np.ndarray, names: list[str]) -> list[Column]:
    columns = array.reshape(len(array), -1)
    width = columns.shape[1]
    if not names:
        names = [spec.name] if width == 1 else [f"{spec.name}_{index}" for index in range(width)]
    if len(names) != width:
        message = f"{len(names)} feature names for the {width} columns of input {spec.name!r}; give one per column"
        raise VerbError(Reason.INVALID_BASELINE, message)
    return [
        build_column(columns[:, index], datatype=spec.datatype, name=name, input=spec.name, column=index)
        for index, name in enumerate(names)
    ]


def _wrong(
    task: Task,
    signature: Signature,
    outputs: Mapping[str, np.ndarray],
    labels: Any,  # noqa: ANN401
) -> np.ndarray | None:
    spec = signature.output(task.label)
    if labels is None or spec is None:
        return None
    given, answers = cast_labels(labels, spec), outputs[task.label].reshape(-1)
    if given.shape != answers.shape:
        message = f"{len(given)} labels for {len(answers)} rows; give one per row"
        raise VerbError(Reason.INVALID_BASELINE, message)
    if task.type is TaskType.REGRESSION:
        return np.asarray(np.abs(given.astype(float) - answers.astype(float)) > task.tolerance)
    return np.asarray(given != answers)


def _prediction(
    task: Task,
    signature: Signature,
    outputs: Mapping[str, np.ndarray],
    wrong: np.ndarray | None,
    labels: Any,  # noqa: ANN401
) -> Column | None:
    spec = signature.output(task.label)
    answers = outputs[task.label]
    if spec is None or answers.size != len(answers):
        return None
    is_class = task.type is TaskType.CLASSIFICATION
    return build_column(
        answers.reshape(-1),
        datatype=spec.datatype,
        output=spec.name,
        wrong=wrong,
        is_category=is_class,
        known=cast_labels(labels, spec) if is_class and labels is not None else None,
    )


def _score(
    task: Task, signature: Signature, outputs: Mapping[str, np.ndarray], wrong: np.ndarray | None
) -> Column | None:
    """Count the probability of the second of two classes; of more classes no single column says enough."""
    spec = signature.output(task.score) if task.score else None
    if spec is None or spec.datatype not in {"FP32", "FP64"} or len(spec.shape) > 2:
        return None
    columns = outputs[spec.name].reshape(len(outputs[spec.name]), -1)
    if columns.shape[1] > 2:
        return None
    column = columns.shape[1] - 1
    return build_column(
        columns[:, column],
        datatype=spec.datatype,
        output=spec.name,
        column=column,
        wrong=wrong,
        cells=SCORE_CELLS,
        edges=[DECISION_THRESHOLD],
        is_category=False,
    )


def _requests(feeds: Mapping[str, np.ndarray], count: int, step: int | None) -> list[dict[str, np.ndarray]]:
    """Take rows spread evenly over the reference, one per example, or as many as the model takes at a time."""
    size = step or 1
    runs = len(next(iter(feeds.values()))) // size
    picked = (
        np.unique(np.linspace(0, runs - 1, num=min(count, runs, 100)).astype(int)) if count else np.empty(0, dtype=int)
    )
    return [{name: array[run * size : (run + 1) * size] for name, array in feeds.items()} for run in picked]


__all__ = ["PackageResult", "Table", "package"]
