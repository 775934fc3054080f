"""What labels said about requests, in sparse cells: which class was taken for which, and how far numbers were off.

A request is one count, whatever its rows: the row that stands for it was drawn by the server (docs/spec/borders.md, 6).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Final, Generic, NamedTuple, TypeVar, cast

from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter

OTHER: Final = "other"
"""Stands for what has no name of its own: seldom classes, and cells beyond the most that are kept."""
MOST_CELLS: Final = 4096
"""Most cells of one family that a server tells, and that are kept of one decision."""
LONGEST_NAME: Final = 64
"""Of a class; servers cut longer ones, and put a hash at their end."""
_HASH_DIGITS: Final = 16
_EXACT: Final = 2.0**64
_MOST_BYTES: Final = 2**22
"""More than so many cells can be, unpacked."""


class ClassCell(NamedTuple):
    """What was predicted, and what was true.

    `score` is the place of the score's cell in the baseline of the model that predicted, counted from 0; empty without
    one. `wrong` says whether the answer was, which the names don't where both are `other`.
    """

    score: str
    predicted: str
    true: str
    wrong: bool


class LossCell(NamedTuple):
    """How far a number was off: `side` is over, under or none; `error` a cell as `error_upper` reads it."""

    side: str
    error: str


class PairCell(NamedTuple):
    """Shares of wrong rows, 0..1 in eighths, of the champion and of the challenger in the same request."""

    wrong: float
    challenger_wrong: float


class PairClassCell(NamedTuple):
    """What both models predicted of the same row, and what was true."""

    predicted: str
    challenger_predicted: str
    true: str


class PairLossCell(NamedTuple):
    """How far both models were off in the same row; cells as `error_upper` reads them."""

    error: str
    challenger_error: str


AnyCell = ClassCell | LossCell | PairCell | PairClassCell | PairLossCell

Cell = TypeVar("Cell", bound=AnyCell)


def name_class(value: str | float | bool) -> str:
    """Name a class as servers do in labels: numbers without decimals where they have none, long texts cut.

    >>> name_class(True), name_class(2.0), name_class("basic"), name_class("other")
    ('1', '2', 'basic', '"other"')
    """
    if not isinstance(value, str):
        return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(value)
    if len(value) <= LONGEST_NAME:
        return f'"{OTHER}"' if value == OTHER else value
    digest = hashlib.sha256(value.encode(errors="replace")).hexdigest()[:_HASH_DIGITS]
    return f"{value[: LONGEST_NAME - 1 - _HASH_DIGITS]}~{digest}"


def error_upper(cell: str) -> float | None:
    """Give the largest absolute error in a cell of errors; None where there was no number, or the cell is unknown.

    >>> error_upper("0"), error_upper("k2"), error_upper("nan")
    (0.0, 2.0, None)
    """
    if cell == "0":
        return 0.0
    return 2.0 ** (int(cell[1:]) / 2) if cell.startswith("k") else None


def combine_cells(
    mine: Mapping[Cell, int], other: Mapping[Cell, int], combine: Callable[[int, int], int]
) -> Mapping[Cell, int]:
    """Combine counts cell by cell, a cell that one side lacks being 0 there; what becomes 0 is left out.

    Beyond `MOST_CELLS` the last ones in their order are added up in the cells of `OTHER`.
    """
    if not other:
        return mine
    # Mostly no cell is new, and they are in order already.
    cells = mine if other.keys() <= mine.keys() else sorted({**mine, **other})
    counts = ((cell, combine(mine.get(cell, 0), other.get(cell, 0))) for cell in cells)
    return _bounded({cell: count for cell, count in counts if count})


def _bounded(counts: dict[Cell, int]) -> dict[Cell, int]:
    if len(counts) <= MOST_CELLS:
        return counts
    for cell in list(counts)[MOST_CELLS - 2 :]:
        count, other = counts.pop(cell), _other(cell)
        counts[other] = counts.get(other, 0) + count
    return dict(sorted(counts.items()))


def _other(cell: Cell) -> Cell:
    """Give the cell of those that are not kept apart; of whether it was wrong alone nothing is lost."""
    fields: tuple[str | float, ...] = tuple(cell)
    made = type(cell)._make(OTHER if isinstance(value, str) else value for value in fields)
    return cast("Cell", made)


class _Codec(Generic[Cell]):
    """Stores cells as a short text."""

    def __init__(self, rows: TypeAdapter[list[tuple[Cell, int]]]) -> None:
        self._rows = rows

    def pack(self, cells: Mapping[Cell, int]) -> str:
        """Give a text; field by field, since what stands in one field of all cells is alike and compresses well."""
        rows: list[tuple[str | float, ...]] = [(*cell, count) for cell, count in cells.items()]
        columns = list(zip(*rows, strict=True))
        return base64.b64encode(zlib.compress(json.dumps(columns, separators=(",", ":")).encode())).decode()

    def unpack(self, stored: object) -> Mapping[Cell, int]:
        """Read what `pack` gave.

        Raises:
            ValueError: It is something else, or too large.
        """
        if not isinstance(stored, str):
            message = "expected packed cells"
            raise ValueError(message)
        try:
            reader = zlib.decompressobj()
            columns: list[list[str | float]] = json.loads(
                reader.decompress(base64.b64decode(stored, validate=True), _MOST_BYTES)
            )
            rows = [(fields[:-1], fields[-1]) for fields in zip(*columns, strict=True)]
        except (binascii.Error, zlib.error, TypeError) as error:
            message = f"no packed cells: {error}"
            raise ValueError(message) from error
        if len(rows) > MOST_CELLS:
            message = f"{len(rows)} cells, expected at most {MOST_CELLS}"
            raise ValueError(message)
        return dict(self._rows.validate_python(rows))


_Count = Annotated[int, Field(ge=0)]

_CLASSES: Final = _Codec(TypeAdapter(list[tuple[ClassCell, _Count]]))
_LOSSES: Final = _Codec(TypeAdapter(list[tuple[LossCell, _Count]]))
_PAIRS: Final = _Codec(TypeAdapter(list[tuple[PairCell, _Count]]))
_PAIR_CLASSES: Final = _Codec(TypeAdapter(list[tuple[PairClassCell, _Count]]))
_PAIR_LOSSES: Final = _Codec(TypeAdapter(list[tuple[PairLossCell, _Count]]))

ClassCells = Annotated[Mapping[ClassCell, int], PlainSerializer(_CLASSES.pack), PlainValidator(_CLASSES.unpack)]
LossCells = Annotated[Mapping[LossCell, int], PlainSerializer(_LOSSES.pack), PlainValidator(_LOSSES.unpack)]
PairCells = Annotated[Mapping[PairCell, int], PlainSerializer(_PAIRS.pack), PlainValidator(_PAIRS.unpack)]
PairClassCells = Annotated[
    Mapping[PairClassCell, int], PlainSerializer(_PAIR_CLASSES.pack), PlainValidator(_PAIR_CLASSES.unpack)
]
PairLossCells = Annotated[
    Mapping[PairLossCell, int], PlainSerializer(_PAIR_LOSSES.pack), PlainValidator(_PAIR_LOSSES.unpack)
]


def summed(cells: Iterable[tuple[Cell, int]]) -> Mapping[Cell, int]:
    """Sum up counts by cell, in the cells' order."""
    counts: dict[Cell, int] = {}
    for cell, count in cells:
        counts[cell] = counts.get(cell, 0) + count
    return dict(sorted(counts.items()))
