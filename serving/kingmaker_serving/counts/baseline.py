"""The baseline document `kingmaker.dev/baseline/v1`: cells per feature, prediction and score, with reference counts."""

from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Final

import msgspec

from kingmaker_serving.digest import sha256
from kingmaker_serving.errors import NOT_JSON, Reason, VerbError
from kingmaker_serving.protocol.signature import Signature, TensorSpec

FORMAT: Final = "kingmaker.dev/baseline/v1"
BELOW: Final = "below"
ABOVE: Final = "above"
MISSING: Final = "missing"
INFINITE: Final = "infinite"
OTHER: Final = "other"
UNSEEN: Final = "unseen"


class Kind(StrEnum):
    """Whether a column's cells have an order."""

    NUMERIC = "Numeric"
    CATEGORICAL = "Categorical"


class Cell(msgspec.Struct, omit_defaults=True):
    """One cell and how many reference rows are in it.

    Numeric: `value <= upper`, and over the upper edge of the cell before. Categorical: `value`, or the seldom `values`
    of the cell `other`; an `other` without `values` takes everything that has no cell. `wrong`: reference rows of this
    cell that the model got wrong.
    """

    name: str
    count: int
    lower: int | float | None = None
    upper: int | float | None = None
    atom: bool = False
    value: str | int | float | bool | None = None
    values: list[str | int | float | bool] | None = None
    rare: bool = False
    wrong: int | None = None


class Column(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The cells of one column of a tensor: `input` for a feature, `output` for a prediction or score."""

    name: str = ""
    input: str = ""
    output: str = ""
    column: int = 0
    kind: Kind
    cells: list[Cell]

    @property
    def tensor(self) -> str:
        """Name of the input or output."""
        return self.input or self.output


class Baseline(msgspec.Struct, omit_defaults=True):
    """The whole document."""

    format: str
    rows: int
    features: list[Column]
    prediction: Column | None = None
    score: Column | None = None


class VerifiedBaseline(msgspec.Struct, frozen=True):
    """A document with the bytes it was read from and their digest."""

    document: Baseline
    content: bytes
    digest: str


def read_baseline(content: bytes, signature: Signature) -> VerifiedBaseline:
    """Read a baseline and check that the model has what it counts.

    Raises:
        VerbError: InvalidBaseline, naming the feature and what is wrong with it.
    """
    try:
        document = msgspec.json.decode(content, type=Baseline)
    except NOT_JSON as error:
        raise _invalid(f"can't be read: {error}; build it with `kingmaker-serving package`") from error
    if document.format != FORMAT:
        raise _invalid(f"has format {document.format!r}, expected {FORMAT!r}")
    names = [feature.name for feature in document.features]
    for name in names:
        if not name or names.count(name) > 1:
            raise _invalid(
                f"has a feature named {name!r} {names.count(name)} times; names must be unique and not empty"
            )
    for feature in document.features:
        _check_column(f"feature {feature.name!r}", feature, signature.input(feature.input), feature.input)
    for what, column in (("prediction", document.prediction), ("score", document.score)):
        if column is not None:
            _check_column(what, column, signature.output(column.output), column.output)
    return VerifiedBaseline(document, content, sha256(content))


def _check_column(place: str, column: Column, spec: TensorSpec | None, tensor: str) -> None:
    if spec is None:
        raise _invalid(f"{place} reads tensor {tensor!r}, which the model does not have")
    width = spec.shape[1] if len(spec.shape) > 1 else 1
    if not 0 <= column.column < (width if width > 0 else 2**31):
        raise _invalid(f"{place} reads column {column.column}, but {spec} has {width}")
    if len(spec.shape) > 2:
        raise _invalid(f"{place} reads {spec}; only tensors of one or two dimensions can be counted by column")
    if spec.datatype == "BF16":
        raise _invalid(f"{place} reads {spec}; sixteen-bit brain floats are not counted")
    names = [cell.name for cell in column.cells]
    if len(set(names)) != len(names) or not all(names):
        raise _invalid(f"{place} has cells {names}; names must be unique and not empty")
    if any(cell.count < 0 for cell in column.cells):
        raise _invalid(f"{place} has a negative count")
    if column.kind is Kind.CATEGORICAL:
        _check_categories(place, names, spec)
    else:
        _check_edges(place, column, spec)


def _check_categories(place: str, names: list[str], spec: TensorSpec) -> None:
    lacking = [name for name in (UNSEEN, MISSING) if name not in names]
    if lacking:
        raise _invalid(f"{place} ({spec}) is Categorical and lacks the cells {lacking}")


def _check_edges(place: str, column: Column, spec: TensorSpec) -> None:
    if spec.datatype in {"BYTES", "BOOL"}:
        raise _invalid(f"{place} is Numeric, but {spec} is not")
    names = [cell.name for cell in column.cells]
    if len(names) < 5 or names[0] != BELOW or names[-3:] != [ABOVE, MISSING, INFINITE]:
        raise _invalid(
            f"{place} has cells {names}; expected {BELOW!r}, the cells in order, then above, missing, infinite"
        )
    first, *rest = [cell.upper for cell in column.cells[:-3]]
    edges = [edge for edge in (first, *rest) if edge is not None]
    if None in rest or not all(isfinite(edge) for edge in edges):
        raise _invalid(f"{place}: every cell between {BELOW!r} and {ABOVE!r} needs a finite upper edge")
    if any(left >= right for left, right in pairwise(edges)):
        raise _invalid(f"{place}: upper edges are not in ascending order: {edges}")


def _invalid(problem: str) -> VerbError:
    return VerbError(Reason.INVALID_BASELINE, f"baseline {problem}")
