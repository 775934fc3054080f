"""The reference that live counts are compared with: cells per feature, prediction and score, with their counts.

Reads the format `kingmaker.dev/baseline/v1`. Unknown keys are left alone, so that newer documents can be read; anything
that would make a comparison wrong is refused with a sentence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Final, Literal, NotRequired

from pydantic import BaseModel, Field, Strict, ValidationError
from typing_extensions import TypedDict

FORMAT: Final = "kingmaker.dev/baseline/v1"
MAXIMUM_BYTES: Final = 4 * 1024 * 1024
"""Largest document that is read."""

_Count = Annotated[int, Strict(), Field(ge=0)]
_Flag = Annotated[bool, Strict()]
_Edge = Annotated[float, Strict(), Field(allow_inf_nan=False)]


class Kind(StrEnum):
    """Whether a column's cells have an order."""

    NUMERIC = "Numeric"
    CATEGORICAL = "Categorical"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell and how many reference rows fell into it. Where it lies is the server's to know, which counts into it.

    `rare` cells hold what a healthy column has (almost) none of: missing, infinite, unseen, below, above.
    """

    name: str
    count: int
    rare: bool = False


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
        document = _Document.model_validate_json(raw)
    except ValidationError as error:
        raise ValueError(_complaint(error)) from error
    return _baseline(document, digest)


class _Cell(TypedDict):
    """A cell as the document has it.

    `upper` and `lower` bound a numeric cell (closed above), `value` names a category, `wrong` counts the reference rows
    that the model got wrong.
    """

    name: Annotated[str, Field(min_length=1)]
    count: _Count
    rare: NotRequired[_Flag]
    upper: NotRequired[_Edge | None]
    lower: NotRequired[_Edge | None]
    atom: NotRequired[_Flag]
    value: NotRequired[str | bool | int | float | None]
    wrong: NotRequired[_Count | None]


class _Column(BaseModel):
    """A column as the document has it; prediction and score are named by their place."""

    name: str = ""
    kind: Kind
    cells: Annotated[list[_Cell], Field(min_length=1)]


class _Document(BaseModel):
    """The document, key by key; what cells must be to one another is checked afterwards."""

    format: Literal["kingmaker.dev/baseline/v1"]
    rows: Annotated[int, Strict(), Field(ge=1)]
    features: Annotated[tuple[_Column, ...], Field(min_length=1)]
    prediction: _Column | None = None
    score: _Column | None = None


def parse_baseline(document: object, *, digest: str) -> Baseline:
    """Turn a decoded baseline document into values.

    Raises:
        ValueError: It is not a baseline; the message names the place.
    """
    try:
        read = _Document.model_validate(document)
    except ValidationError as error:
        raise ValueError(_complaint(error)) from error
    return _baseline(read, digest)


def _baseline(read: _Document, digest: str) -> Baseline:
    features = tuple(_feature(column, column.name, f"features[{i}]") for i, column in enumerate(read.features))
    _no_repeats((f.name for f in features), "feature names")
    for feature in features:
        if feature.rows != read.rows:
            message = f"feature {feature.name!r}: cells count {feature.rows} rows, expected the baseline's {read.rows}"
            raise ValueError(message)
    return Baseline(digest, read.rows, features, _output(read.prediction, "prediction"), _output(read.score, "score"))


def _output(column: _Column | None, name: str) -> Feature | None:
    return None if column is None else _feature(column, name, name)


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"baseline is not JSON: {first['ctx']['error']}; package the model again"
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    found = "missing" if first["type"] == "missing" else json.dumps(first["input"], default=repr)[:80]
    return f"baseline{place} is {found}: {first['msg']}; package the model again"


def _feature(column: _Column, name: str, place: str) -> Feature:
    if not name:
        message = f"baseline.{place} has no name; package the model again"
        raise ValueError(message)
    place = f"{place} ({name!r})"
    _no_repeats((cell["name"] for cell in column.cells), f"{place}: cell names")
    if column.kind is Kind.NUMERIC:
        _check_order(column.cells, place)
    cells = tuple(_shared_cell(cell["name"], cell["count"], cell.get("rare", False)) for cell in column.cells)
    feature = Feature(name, column.kind, cells)
    if feature.rows == 0:
        message = f"{place}: every cell counts 0, expected the reference rows"
        raise ValueError(message)
    return feature


@lru_cache(maxsize=65_536)
def _shared_cell(name: str, count: int, rare: bool) -> Cell:
    """One cell for all that are alike: columns are cut into cells of the same size, under the same names."""
    return Cell(name, count, rare)


def _check_order(cells: Iterable[_Cell], place: str) -> None:
    ordinary = [cell for cell in cells if not cell.get("rare")]
    edges = [upper for cell in ordinary if (upper := cell.get("upper")) is not None]
    if len(edges) != len(ordinary):
        message = f"{place}: a cell that is not rare has no upper edge; numeric cells need one each"
        raise ValueError(message)
    # Equal neighbours are an atom at the edge of a cell.
    if any(left > right for left, right in pairwise(edges)):
        message = f"{place}: upper edges {edges} are not in ascending order"
        raise ValueError(message)


def _no_repeats(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{place} must be unique, found {name!r} twice"
            raise ValueError(message)
        seen.add(name)
