"""The reference that live counts are compared with: cells per feature, prediction and score, with their counts.

Reads the format `kingmaker.dev/baseline/v1`. Unknown keys are left alone, so that newer documents can be read; anything
that would make a comparison wrong is refused with a sentence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from kingmaker.api import PositiveDuration
from kingmaker.core.counts.document import (
    FORMAT,
    MAXIMUM_BYTES,
    Document,
    DocumentCell,
    DocumentColumn,
    DocumentSeason,
    DocumentSpan,
    Kind,
    Value,
    complain,
)
from kingmaker.core.counts.season import Season

__all__ = ["FORMAT", "MAXIMUM_BYTES", "Baseline", "Cell", "Feature", "Kind", "Season", "Span", "parse_baseline",
           "read_baseline"]  # fmt: skip

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
_SLACK: Final = 1e-3
"""By how much importances may miss a sum of 1: they are rounded."""


def _nothing() -> Mapping[Any, Any]:
    return _NOTHING


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell and how many reference rows fell into it.

    `rare` cells hold what a healthy column has (almost) none of: missing, infinite, unseen, below, above. The rest is
    known of predictions and scores alone: of features where cells lie is the server's to know, which counts into them.
    `upper` bounds a numeric cell, closed above; `value` is the category. `wrong` counts the rows that the model got
    wrong, `classes` the rows by true class, under the names that servers count labels by; both are of all rows of the
    cell. Of a regression `absolute_error` and `squared_error` are means over its rows. None and empty: not known.
    """

    name: str
    count: int
    rare: bool = False
    upper: float | None = None
    value: Value | None = None
    wrong: int | None = None
    classes: Mapping[str, int] = field(default_factory=_nothing, hash=False)
    absolute_error: float | None = None
    squared_error: float | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of what the model reads or says: a feature, its prediction or its score. Numeric cells are in order.

    `singletons` counts the categories that the reference had exactly once: of new rows about that part of its rows is
    unseen. `importance` is the column's part, 0..1, in what moves the model's answers. `dispersion` tells by how much
    counts of windows of a length vary more than independent rows would, 1..10. `held_out`, of a prediction or score:
    its rows are none that the model was fitted on. `takes_few_numbers`: each of its cells is one number, such as a
    month or a constant, so that any other number is a new one. None and empty: not known.
    """

    name: str
    kind: Kind
    cells: tuple[Cell, ...]
    _: KW_ONLY
    singletons: int | None = None
    importance: float | None = None
    dispersion: Mapping[timedelta, float] = field(default_factory=_nothing, hash=False)
    held_out: bool = False
    takes_few_numbers: bool = False

    @property
    def rows(self) -> int:
        """Reference rows of this column."""
        return sum(cell.count for cell in self.cells)

    @property
    def counts(self) -> tuple[int, ...]:
        """Reference rows per cell."""
        return tuple(cell.count for cell in self.cells)

    def overdispersion(self, window: timedelta) -> float | None:
        """Give the dispersion for a length of window: its own, else that of the next longer one, else of the longest.

        None when the reference had no times.
        """
        longer = [length for length in self.dispersion if length >= window]
        known = min(longer) if longer else max(self.dispersion, default=None)
        return None if known is None else self.dispersion[known]


@dataclass(frozen=True, slots=True)
class Span:
    """From when (inclusive) until when (exclusive); aware times."""

    begin: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Baseline:
    """The reference of one Model.

    `digest` is the sha256 that servers stamp on their counts, `rows` the sample size of the features. `season` has the
    reference cut by the time of day or week; None where its rows had no times. `bootstrapped` says from when until when
    live rows were counted that became the reference; None for a reference made of data that people chose.
    """

    digest: str
    rows: int
    features: tuple[Feature, ...]
    prediction: Feature | None = None
    score: Feature | None = None
    season: Season | None = None
    bootstrapped: Span | None = None

    @property
    def columns(self) -> tuple[Feature, ...]:
        """All that is counted, in a fixed order: the features, then prediction and score where there are any."""
        return (*self.features, *(c for c in (self.prediction, self.score) if c is not None))


def read_baseline(raw: bytes, *, digest: str) -> Baseline:
    """Check and read a baseline document.

    Args:
        raw: The file's bytes.
        digest: What they must hash to, `sha256:<64 hex digits>`.

    Raises:
        ValueError: Too large, another digest, not JSON, or not a baseline; the message says where and what to do.
    """
    if len(raw) > MAXIMUM_BYTES:
        message = f"baseline has {len(raw)} bytes, at most {MAXIMUM_BYTES} are read; use fewer cells or features"
        raise ValueError(message)
    found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if found != digest:
        message = f"baseline has digest {found}, expected {digest}; fetch it again or correct spec.baseline.digest"
        raise ValueError(message)
    try:
        document = Document.model_validate_json(raw)
    except ValidationError as error:
        raise ValueError(complain(error)) from error
    return _baseline(document, digest)


def parse_baseline(document: object, *, digest: str) -> Baseline:
    """Turn a decoded baseline document into values.

    Raises:
        ValueError: It is not a baseline; the message names the place.
    """
    try:
        read = Document.model_validate(document)
    except ValidationError as error:
        raise ValueError(complain(error)) from error
    return _baseline(read, digest)


def _baseline(read: Document, digest: str) -> Baseline:
    features = tuple(_feature(column, column.name, f"features[{i}]") for i, column in enumerate(read.features))
    _no_repeats((f.name for f in features), "feature names")
    for feature in features:
        if feature.rows != read.rows:
            message = f"feature {feature.name!r}: cells count {feature.rows} rows, expected the baseline's {read.rows}"
            raise ValueError(message)
    total = sum(f.importance or 0 for f in features)
    if total > 1 + _SLACK:
        message = f"importances of the features sum up to {total:.4g}, expected at most 1; package the model again"
        raise ValueError(message)
    outputs = {"prediction": read.prediction, "score": read.score}
    given = {name: column for name, column in outputs.items() if column is not None}
    said = {name: _feature(column, name, name, is_output=True) for name, column in given.items()}
    season = _season(read.season, (*read.features, *given.values()))
    span = _span(read.bootstrapped)
    return Baseline(digest, read.rows, features, said.get("prediction"), said.get("score"), season, span)


def _feature(column: DocumentColumn, name: str, place: str, *, is_output: bool = False) -> Feature:
    if not name:
        message = f"baseline.{place} has no name; package the model again"
        raise ValueError(message)
    place = f"{place} ({name!r})"
    _no_repeats((cell["name"] for cell in column.cells), f"{place}: cell names")
    if column.kind is Kind.NUMERIC:
        _check_order(column.cells, place)
    if is_output:
        cells = tuple(_output_cell(cell, place) for cell in column.cells)
    else:
        cells = tuple(_shared_cell(cell["name"], cell["count"], cell.get("rare", False)) for cell in column.cells)
    dispersion = _shared_dispersion(tuple(column.dispersion.items()))
    feature = Feature(
        name,
        column.kind,
        cells,
        singletons=column.singletons,
        importance=column.importance,
        dispersion=dispersion,
        held_out=column.held_out,
        takes_few_numbers=all(_is_one_number(cell) for cell in column.cells if not cell.get("rare")),
    )
    rows = feature.rows
    if rows == 0:
        message = f"{place}: every cell counts 0, expected the reference rows"
        raise ValueError(message)
    if (column.singletons or 0) > rows:
        message = f"{place}: {column.singletons} singletons of {rows} rows; package the model again"
        raise ValueError(message)
    return feature


def _is_one_number(cell: DocumentCell) -> bool:
    """Whether a cell holds one number alone, or is the one of seldom numbers."""
    value = cell.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return bool(cell.get("atom", False)) or is_number or cell["name"] == "other"


@lru_cache(maxsize=65_536)
def _shared_cell(name: str, count: int, rare: bool) -> Cell:
    """One cell for all that are alike: columns are cut into cells of the same size, under the same names."""
    return Cell(name, count, rare)


@lru_cache(maxsize=4096)
def _shared_dispersion(known: tuple[tuple[PositiveDuration, float], ...]) -> Mapping[timedelta, float]:
    """One mapping for all columns that vary alike: packaging rounds."""
    return MappingProxyType({length.timedelta: phi for length, phi in known})


def _output_cell(cell: DocumentCell, place: str) -> Cell:
    name, count, wrong, classes = cell["name"], cell["count"], cell.get("wrong"), cell.get("classes") or _NOTHING
    for what, counted in (("wrong rows", wrong or 0), ("rows with a class", sum(classes.values()))):
        if counted > count:
            message = f"{place}: cell {name!r} has {counted} {what} of {count}; package the model again"
            raise ValueError(message)
    losses = (cell.get("absoluteError"), cell.get("squaredError"))
    return Cell(name, count, cell.get("rare", False), cell.get("upper"), cell.get("value"), wrong, classes, *losses)


def _season(season: DocumentSeason | None, columns: Sequence[DocumentColumn]) -> Season | None:
    """Put the season counts of all columns side by side, zeros where there are none."""
    has = np.array([column.season is not None for column in columns])
    if season is None:
        if has.any():
            message = "a column has season counts, but baseline.season does not say of what; package the model again"
            raise ValueError(message)
        return None
    parts = [_season_of(column, season.buckets) for column in columns]
    return Season(season.period.timedelta, np.concatenate(parts, axis=1), has)


def _season_of(column: DocumentColumn, buckets: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    width = len(column.cells)
    if column.season is None:
        return np.zeros((buckets, width), dtype=np.int32)
    name = column.name or "an output"
    if len(column.season) != buckets or any(len(bucket) != width for bucket in column.season):
        message = f"season of {name!r} must have {buckets} lists of {width} counts; package the model again"
        raise ValueError(message)
    counts = np.array(column.season, dtype=np.int64)
    if (counts.sum(axis=0) > [cell["count"] for cell in column.cells]).any() or counts.max(initial=0) >= 2**31:
        message = f"season of {name!r} counts more rows than its cells; package the model again"
        raise ValueError(message)
    return counts.astype(np.int32)


def _span(span: DocumentSpan | None) -> Span | None:
    if span is None:
        return None
    if span.begin.tzinfo is None or span.until.tzinfo is None or span.begin >= span.until:
        message = f"baseline.bootstrapped is from {span.begin} until {span.until}; expected two times of UTC in order"
        raise ValueError(message)
    return Span(span.begin, span.until)


def _check_order(cells: Iterable[DocumentCell], place: str) -> None:
    ordinary = [cell for cell in cells if not cell.get("rare")]
    edges = [upper for cell in ordinary if (upper := cell.get("upper")) is not None]
    if len(edges) != len(ordinary):
        message = f"{place}: a cell that is not rare has no upper edge; numeric cells need one each"
        raise ValueError(message)
    # Equal neighbours are an atom at the edge of a cell.
    if any(left > right for left, right in pairwise(edges)):
        message = f"{place}: upper edges {str(edges)[:200]} are not in ascending order"
        raise ValueError(message)


def _no_repeats(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{place} must be unique, found {name!r} twice"
            raise ValueError(message)
        seen.add(name)
