"""The reference that live counts are compared with: cells per feature, prediction and score, with their counts.

Reads the format `kingmaker.dev/baseline/v1`. Unknown keys are left alone, so that newer documents can be read; anything
that would make a comparison wrong is refused with a sentence.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

FORMAT: Final = "kingmaker.dev/baseline/v1"
MAXIMUM_BYTES: Final = 4 * 1024 * 1024
"""Largest document that is read."""


class Kind(StrEnum):
    """Whether a column's cells have an order."""

    NUMERIC = "Numeric"
    CATEGORICAL = "Categorical"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell and how many reference rows fell into it.

    `rare` cells hold what a healthy column has (almost) none of: missing, infinite, unseen, below, above. `upper` and
    `lower` bound a numeric cell (closed above), `value` names a category, `wrong` counts the reference rows that the
    model got wrong; None where the document says nothing.
    """

    name: str
    count: int
    rare: bool = False
    upper: float | None = None
    lower: float | None = None
    atom: bool = False
    value: str | float | bool | None = None
    wrong: int | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of what the model reads or says: a feature, its prediction or its score. Numeric cells are in order."""

    name: str
    kind: Kind
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> int:
        """Reference rows of this column."""
        return sum(cell.count for cell in self.cells)

    @property
    def counts(self) -> tuple[int, ...]:
        """Reference rows per cell."""
        return tuple(cell.count for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The reference of one Model. `digest` is the sha256 that servers stamp on their counts, `rows` the sample size."""

    digest: str
    rows: int
    features: tuple[Feature, ...]
    prediction: Feature | None = None
    score: Feature | None = None

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
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        message = f"baseline is not JSON: {error}; package the model again"
        raise ValueError(message) from error
    return parse_baseline(document, digest=digest)


def parse_baseline(document: object, *, digest: str) -> Baseline:
    """Turn a decoded baseline document into values.

    Raises:
        ValueError: It is not a baseline; the message names the place.
    """
    root = _mapping(document, "baseline")
    if root.get("format") != FORMAT:
        message = f"baseline: format is {root.get('format')!r}, expected {FORMAT!r}; package the model again"
        raise ValueError(message)
    rows = _count(root.get("rows"), "baseline: rows")
    if rows == 0:
        message = "baseline: rows is 0, expected at least one reference row; package the model with its training data"
        raise ValueError(message)
    features = tuple(
        _feature(item, f"feature {number}") for number, item in enumerate(_list(root.get("features"), "features"))
    )
    _no_repeats((f.name for f in features), "feature names")
    for feature in features:
        if feature.rows != rows:
            message = f"feature {feature.name!r}: cells count {feature.rows} rows, expected the baseline's {rows}"
            raise ValueError(message)
    return Baseline(digest, rows, features, _output(root, "prediction"), _output(root, "score"))


def _output(root: Mapping[str, object], name: str) -> Feature | None:
    document = root.get(name)
    return None if document is None else _feature(document, name, named=name)


def _feature(document: object, place: str, *, named: str | None = None) -> Feature:
    item = _mapping(document, place)
    name = named or _text(item.get("name"), f"{place}: name")
    place = f"{place} ({name!r})" if named is None else place
    kind = _text(item.get("kind"), f"{place}: kind")
    if kind not in tuple(Kind):
        message = f"{place}: kind is {kind!r}, expected one of {', '.join(Kind)}"
        raise ValueError(message)
    cells = tuple(
        _cell(cell, f"{place}: cell {number}")
        for number, cell in enumerate(_list(item.get("cells"), f"{place}: cells"))
    )
    _no_repeats((c.name for c in cells), f"{place}: cell names")
    feature = Feature(name, Kind(kind), cells)
    if feature.kind is Kind.NUMERIC:
        _check_order(feature, place)
    if feature.rows == 0:
        message = f"{place}: every cell counts 0, expected the reference rows"
        raise ValueError(message)
    return feature


def _cell(document: object, place: str) -> Cell:
    item = _mapping(document, place)
    value, wrong = item.get("value"), item.get("wrong")
    if not (value is None or isinstance(value, str | int | float)):
        message = f"{place}: value is a {type(value).__name__}, expected text, a number or a truth value"
        raise ValueError(message)
    return Cell(
        name=_text(item.get("name"), f"{place}: name"),
        count=_count(item.get("count"), f"{place}: count"),
        rare=_flag(item.get("rare", False), f"{place}: rare"),
        upper=_edge(item.get("upper"), f"{place}: upper"),
        lower=_edge(item.get("lower"), f"{place}: lower"),
        atom=_flag(item.get("atom", False), f"{place}: atom"),
        value=value,
        wrong=None if wrong is None else _count(wrong, f"{place}: wrong"),
    )


def _check_order(feature: Feature, place: str) -> None:
    ordinary = [cell for cell in feature.cells if not cell.rare]
    edges = [cell.upper for cell in ordinary if cell.upper is not None]
    if len(edges) != len(ordinary):
        message = f"{place}: a cell that is not rare has no upper edge; numeric cells need one each"
        raise ValueError(message)
    # Equal neighbours are an atom at the edge of a cell.
    if any(left > right for left, right in pairwise(edges)):
        message = f"{place}: upper edges {edges} are not in ascending order"
        raise ValueError(message)


def _mapping(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        message = f"{place} is {_kind(value)}, expected an object"
        raise ValueError(message)  # one kind of error for a document that is off
    return value


def _list(value: object, place: str) -> Sequence[object]:
    if not isinstance(value, list) or not value:
        message = f"{place} is {_kind(value)}, expected a list with at least one entry"
        raise ValueError(message)
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        message = f"{place} is {_kind(value)}, expected text"
        raise ValueError(message)
    return value


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        message = f"{place} is {_kind(value)}, expected true or false"
        raise ValueError(message)
    return value


def _count(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        message = f"{place} is {_kind(value)}, expected a whole number of 0 or more"
        raise ValueError(message)
    return value


def _edge(value: object, place: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        message = f"{place} is {_kind(value)}, expected a finite number"
        raise ValueError(message)
    return float(value)


def _no_repeats(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{place} must be unique, found {name!r} twice"
            raise ValueError(message)
        seen.add(name)


def _kind(value: object) -> str:
    """What was found, short enough for a condition."""
    match value:
        case None:
            return "missing"
        case dict():
            return "an object"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return json.dumps(value)[:80]
