"""The baseline document `kingmaker.dev/baseline/v1`: cells per feature, prediction and score, with reference counts."""

from collections import Counter
from enum import StrEnum
from itertools import pairwise
from math import isfinite
from typing import Final, Literal

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
NO_SEASON: Final = msgspec.Raw()
"""Of a column without one; no other empty value is left out of a document."""
LONGEST_NAME: Final = 512
"""Characters of a feature's or a cell's name."""
_LONGEST_SHOWN: Final = 500
_LONGEST_PROBLEM: Final = 1500


class Kind(StrEnum):
    """Whether a column's cells have an order."""

    NUMERIC = "Numeric"
    CATEGORICAL = "Categorical"


class Cell(msgspec.Struct, omit_defaults=True, rename="camel"):
    """One cell and how many reference rows are in it.

    Numeric: `value <= upper`, and over the upper edge of the cell before. Categorical: `value`, or the seldom `values`
    of the cell `other`; an `other` without `values` takes everything that has no cell. `wrong`: reference rows of this
    cell that the model got wrong; `classes` counts them by true class; the errors of a regression are means.
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
    classes: dict[str, int] | None = None
    absolute_error: float | None = None
    squared_error: float | None = None


class Column(msgspec.Struct, omit_defaults=True, kw_only=True, rename="camel"):
    """The cells of one column of a tensor: `input` for a feature, `output` for a prediction or score.

    With `measure` it is not the values that lie in cells: `length` counts the characters of a text. What follows
    `cells` is for whoever judges counts, and is not needed to count.
    """

    name: str = ""
    input: str = ""
    output: str = ""
    column: int = 0
    kind: Kind
    measure: Literal["length"] | None = None
    cells: list[Cell]
    singletons: int | None = None
    importance: float | None = None
    dispersion: dict[str, float] | None = None
    held_out: bool = False
    season: msgspec.Raw = NO_SEASON

    @property
    def tensor(self) -> str:
        """Name of the input or output."""
        return self.input or self.output


class Season(msgspec.Struct):
    """Into what the season counts of columns are cut: parts of a period of UTC."""

    period: str
    buckets: int
    offset: str = "UTC"


class Baseline(msgspec.Struct, omit_defaults=True):
    """The whole document."""

    format: str
    rows: int
    features: list[Column]
    prediction: Column | None = None
    score: Column | None = None
    season: Season | None = None


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
    for name, times in Counter(feature.name for feature in document.features).items():
        if not name or times > 1:
            raise _invalid(f"has a feature named {name[:80]!r} {times} times; names must be unique and not empty")
        if len(name) > LONGEST_NAME:
            raise _invalid(f"has a feature whose name {name[:80]!r}... is longer than {LONGEST_NAME} characters")
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
    if len(set(names)) != len(names) or not all(0 < len(name) <= LONGEST_NAME for name in names):
        what = f"names must be unique, not empty, and of at most {LONGEST_NAME} characters"
        raise _invalid(f"{place} has cells {_short(names)}; {what}")
    if any(cell.count < 0 for cell in column.cells):
        raise _invalid(f"{place} has a negative count")
    if column.kind is Kind.CATEGORICAL:
        _check_categories(place, column, names, spec)
    else:
        _check_edges(place, column, spec)


def _check_categories(place: str, column: Column, names: list[str], spec: TensorSpec) -> None:
    if column.measure:
        raise _invalid(f"{place} counts lengths, which are Numeric, and is Categorical")
    lacking = [name for name in (UNSEEN, MISSING) if name not in names]
    if lacking:
        raise _invalid(f"{place} ({spec}) is Categorical and lacks the cells {lacking}")


def _check_edges(place: str, column: Column, spec: TensorSpec) -> None:
    if column.measure and spec.datatype != "BYTES":
        raise _invalid(f"{place} counts lengths of texts, but {spec} has none")
    if spec.datatype in {"BYTES", "BOOL"} and not column.measure:
        raise _invalid(f"{place} is Numeric, but {spec} is not")
    names = [cell.name for cell in column.cells]
    if len(names) < 5 or names[0] != BELOW or names[-3:] != [ABOVE, MISSING, INFINITE]:
        raise _invalid(
            f"{place} has cells {_short(names)}; expected {BELOW!r}, the cells in order, then above, missing, infinite"
        )
    first, *rest = [cell.upper for cell in column.cells[:-3]]
    edges = [edge for edge in (first, *rest) if edge is not None]
    if None in rest or not all(isfinite(edge) for edge in edges):
        raise _invalid(f"{place}: every cell between {BELOW!r} and {ABOVE!r} needs a finite upper edge")
    if any(left >= right for left, right in pairwise(edges)):
        raise _invalid(f"{place}: upper edges are not in ascending order: {_short(edges)}")


def _short(values: object) -> str:
    """Write values as a message can hold them, whoever made the document."""
    text = str(values)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _invalid(problem: str) -> VerbError:
    return VerbError(Reason.INVALID_BASELINE, f"baseline {problem[:_LONGEST_PROBLEM]}")
