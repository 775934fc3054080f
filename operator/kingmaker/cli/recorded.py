"""Histories from files: counts per interval, raw rows with a baseline, the windows of an exported ledger."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from kingmaker.cli.columns import read_columns, times, wanted, whole
from kingmaker.core.counts.ledger import Ledger
from kingmaker.core.counts.storage import load_ledger
from kingmaker.core.simulation.history import RIGHT, WRONG, Cell, History, Interval, ModelRecord
from kingmaker.core.simulation.placing import place
from kingmaker_laptop.errors import LocalError

Document = Mapping[str, Any]
"""A baseline document as JSON."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Bin:
    """What is known of one interval while files are read."""

    models: dict[str, ModelRecord] = field(default_factory=dict)
    cells: dict[str, np.ndarray] = field(default_factory=dict)
    rows: int = 0
    pairs: dict[tuple[str, str], dict[tuple[str, str, str], int]] = field(default_factory=dict)

    def add(self, model: str, record: ModelRecord) -> None:
        """Add what a model did."""
        self.models[model] = self.models.get(model, ModelRecord()) + record


_Bins = defaultdict[datetime, _Bin]


def _history(bins: Mapping[datetime, _Bin]) -> History:
    return History(
        tuple(
            Interval(
                until,
                found.rows or sum(r.requests + r.errors for r in found.models.values()),
                found.models,
                found.cells,
                found.pairs,
            )
            for until, found in sorted(bins.items())
        )
    )


# Counts


def read_counts(paths: Iterable[Path], champion: str, digest: str, baseline: Document | None) -> History:
    """Read files of counts per interval, in three kinds, told apart by their columns.

    | columns | a line says |
    |---|---|
    | time, model, requests, errors, correct, wrong | what a model did until `time`; the last three may be left out |
    | time, model, predicted, true, count | how many of its labelled requests were so |
    | time, feature, cell, count | how many rows fell into a cell of the champion's baseline |

    Args:
        paths: The files.
        champion: Whose lines those without a model are.
        digest: Of the champion's baseline.
        baseline: That document; needed for cells.

    Raises:
        LocalError: A file can't be understood; the message says where and what was expected.
    """
    bins: _Bins = defaultdict(_Bin)
    for path in paths:
        columns = read_columns(path)
        ends = times(wanted(columns, "time", path), path)
        models = [str(name) or champion for name in columns.get("model", [champion] * len(ends))]
        if "feature" in columns:
            _add_cells(bins, columns, ends, path, digest, baseline)
        elif "predicted" in columns:
            _add_classes(bins, columns, ends, models, path)
        elif "requests" in columns:
            _add_requests(bins, columns, ends, models, path)
        else:
            raise LocalError(
                f"{path}: found columns {', '.join(columns)}; expected time with requests, with predicted, true and "
                "count, or with feature, cell and count (kingmaker simulate --help)"
            )
    return _history(bins)


def _add_requests(
    bins: _Bins, columns: Mapping[str, Any], ends: Sequence[datetime], models: list[str], path: Path
) -> None:
    none = [0] * len(ends)
    numbers = {name: columns.get(name, none) for name in ("requests", "errors", "correct", "wrong")}
    for i, until in enumerate(ends):
        requests, errors, correct, wrong = (whole(values[i], name, path) for name, values in numbers.items())
        if correct + wrong > requests:
            raise LocalError(
                f"{path}: {models[i]} at {until:%Y-%m-%dT%H:%M:%SZ} has {correct + wrong} labels for {requests} "
                "requests; count answered requests, and labels among them"
            )
        labels = {cell: count for cell, count in ((RIGHT, correct), (WRONG, wrong)) if count}
        bins[until].add(models[i], ModelRecord(requests, errors, labels))


def _add_classes(
    bins: _Bins, columns: Mapping[str, Any], ends: Sequence[datetime], models: list[str], path: Path
) -> None:
    predicted, true = wanted(columns, "predicted", path), wanted(columns, "true", path)
    counts = wanted(columns, "count", path)
    for i, until in enumerate(ends):
        count = whole(counts[i], "count", path)
        before = bins[until].models.get(models[i], ModelRecord())
        # Labels of requests that another file counts already are no further requests.
        further = max(0, before.labelled + count - before.requests)
        cell: Cell = (str(predicted[i]), str(true[i]))
        bins[until].add(models[i], ModelRecord(further, 0, {cell: count}))


def _add_cells(
    bins: _Bins,
    columns: Mapping[str, Any],
    ends: Sequence[datetime],
    path: Path,
    digest: str,
    baseline: Document | None,
) -> None:
    if baseline is None:
        raise LocalError(f"{path} counts cells, which a baseline names: give the champion's with --baseline FILE")
    at = _cell_places(baseline)
    features, cells = wanted(columns, "feature", path), wanted(columns, "cell", path)
    counts = wanted(columns, "count", path)
    for i, until in enumerate(ends):
        key = (str(features[i]), str(cells[i]))
        if key not in at:
            raise LocalError(f"{path}: the baseline has no cell {key[1]!r} of {key[0]!r}; is it the champion's?")
        counted = bins[until].cells.setdefault(digest, np.zeros(len(at), dtype=np.int64))
        counted[at[key]] += whole(counts[i], "count", path)


def _columns_of(baseline: Document) -> list[tuple[str, Document]]:
    outputs = [(name, baseline[name]) for name in ("prediction", "score") if baseline.get(name)]
    return [(column["name"], column) for column in baseline["features"]] + outputs


def _cell_places(baseline: Document) -> dict[tuple[str, str], int]:
    names = [(name, cell["name"]) for name, column in _columns_of(baseline) for cell in column["cells"]]
    return {key: at for at, key in enumerate(names)}


# Rows


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Names of columns of raw rows: of the time, the truth, and each model's predictions; `score` of the champion's."""

    time: str
    label: str = ""
    predictions: Mapping[str, str] = field(default_factory=dict)
    score: str = ""


def read_rows(path: Path, names: RowColumns, baselines: Mapping[str, tuple[str, Document]], step: timedelta) -> History:
    """Read rows as the model got them: features, and where they are known predictions and the truth.

    Args:
        path: CSV, Parquet or npz. Features are columns of their names, or of an npz arrays of their input's name.
        names: Which columns mean what.
        baselines: Into whose cells rows are counted, by digest: whose prediction it is about, and the document.
        step: Length of an interval.

    Raises:
        LocalError: A column is not there, or does not fit the baseline.
    """
    columns = read_columns(path)
    ends = [_EPOCH + -((_EPOCH - t) // step) * step for t in times(_listed(wanted(columns, names.time, path)), path)]
    order = sorted(set(ends))
    bin_of = {until: i for i, until in enumerate(order)}
    which = np.array([bin_of[until] for until in ends])
    bins: _Bins = defaultdict(_Bin, {until: _Bin() for until in order})
    for until, rows in zip(order, np.bincount(which, minlength=len(order)).tolist(), strict=True):
        bins[until].rows = rows
    for digest, (model, baseline) in baselines.items():
        for until, cells in zip(order, _count_rows(order, which, columns, names, baseline, path, model), strict=True):
            bins[until].cells[digest] = cells
    _judge_rows(bins, order, which, columns, names, path)
    return _history(bins)


def _count_rows(
    order: list[datetime],
    which: np.ndarray,
    columns: Mapping[str, Any],
    names: RowColumns,
    baseline: Document,
    path: Path,
    model: str,
) -> np.ndarray:
    """Count rows per interval and cell, shape (intervals, cells)."""
    parts = []
    for name, column in _columns_of(baseline):
        width = len(column["cells"])
        values = _values(columns, name, column, names, model, path)
        if values is None:
            parts.append(np.zeros((len(order), width), dtype=np.int64))
            continue
        try:
            places = place(column, values)
        except (ValueError, KeyError) as error:
            raise LocalError(f"{path}: {error}") from error
        flat = np.bincount(which * width + places, minlength=len(order) * width)
        parts.append(flat.reshape(len(order), width))
    return np.hstack(parts).astype(np.int64)


def _values(
    columns: Mapping[str, Any], name: str, column: Document, names: RowColumns, model: str, path: Path
) -> Any | None:  # noqa: ANN401  # a list or an array
    if "name" not in column:
        given = names.predictions.get(model, "") if name == "prediction" else names.score
        return wanted(columns, given, path) if given else None
    if name in columns:
        return columns[name]
    tensor = columns.get(column.get("input", ""))
    if tensor is not None and np.ndim(tensor) == 2:
        return np.asarray(tensor)[:, int(column.get("column", 0))]
    return tensor if tensor is not None else wanted(columns, name, path)


def _judge_rows(
    bins: _Bins,
    order: list[datetime],
    which: np.ndarray,
    columns: Mapping[str, Any],
    names: RowColumns,
    path: Path,
) -> None:
    if not names.label:
        return
    truth = _texts(wanted(columns, names.label, path))
    said = {model: _texts(wanted(columns, name, path)) for model, name in names.predictions.items()}
    for i, true in enumerate(truth):
        found = bins[order[which[i]]]
        for model, predictions in said.items():
            labels = {(predictions[i], true): 1} if true else {}
            found.add(model, ModelRecord(1, 0, labels))
        for one in said if true else ():
            for other in said:
                if one != other:
                    cells = found.pairs.setdefault((one, other), {})
                    cell = (said[one][i], said[other][i], true)
                    cells[cell] = cells.get(cell, 0) + 1


def _texts(values: Any) -> list[str]:  # noqa: ANN401  # a list or an array
    every = _listed(values)
    missing = (v is None or v == "" or v != v for v in every)  # noqa: PLR0124  # NaN is no label
    return ["" if gone else _text(v) for gone, v in zip(missing, every, strict=True)]


def _text(value: Any) -> str:  # noqa: ANN401  # of any file
    text = str(value)
    return text.removesuffix(".0") if isinstance(value, float) else text


def _listed(values: Any) -> list[Any]:  # noqa: ANN401  # a list or an array
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


# Ledger


def read_exported(path: Path, champion_digest: str, names: Mapping[str, str]) -> History:
    """Read the ConfigMap `<deployment>-ledger`, or its `ledger.json`: its longest windows, and its sums of labels.

    A ledger keeps the cells of the last windows in slots of a third of their length, and sums of the contests that go
    on since their decisions. When a label came in between is not known: the sums are spread evenly over the slots.

    Args:
        path: JSON, of `kubectl get configmap NAME-ledger -o json`, or the text itself.
        champion_digest: Whose windows are wanted.
        names: Models by digest.

    Raises:
        LocalError: It is no ledger, or knows nothing of the champion's windows.
    """
    ledger = _load(path)
    windows = ledger.watch.windows
    if windows is None or windows.model != champion_digest or not any(s.slots for s in windows.scales):
        name = names.get(champion_digest, "the champion")
        raise LocalError(
            f"{path}: the ledger has no windows of {name}, {champion_digest[:19]}…, but of "
            f"{windows.model[:19] + '…' if windows else 'nobody'}: put the Model of that digest into the YAML"
        )
    scale = max((s for s in windows.scales if s.slots), key=lambda s: s.length)
    bins: _Bins = defaultdict(_Bin)
    for slot in scale.slots:
        until = min(windows.moment((slot.index + 1) * scale.slot_length), windows.moment(windows.last))
        # A slot that has only just begun ends with the last look, as the one before it does.
        found = bins[until]
        vector = slot.counts.vector
        found.cells[windows.baseline] = found.cells.get(windows.baseline, np.zeros_like(vector)) + vector
        found.rows += slot.counts.rows
    for digest, decisions in ledger.totals.items():
        record = ModelRecord()
        for counts in decisions.values():
            arm = counts.arm
            record += ModelRecord(arm.answered, arm.errors, {RIGHT: arm.correct, WRONG: arm.wrong})
        for until in bins:
            bins[until].add(names.get(digest, digest), record)
    return _history(bins)


def _load(path: Path) -> Ledger:
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        stored = document.get("data", {}).get("ledger.json") if isinstance(document, dict) else None
        return load_ledger(stored if stored is not None else text)
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise LocalError(f"{path} is no exported ledger: {said}; kubectl get configmap NAME-ledger -o json") from error
