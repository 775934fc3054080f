"""Rows of data into the cells of a baseline document, as servers place them (docs/spec/borders.md, section 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Column = Mapping[str, Any]
"""A feature, prediction or score as the document has it."""
_UNBOUNDED: Final = frozenset({"above", "missing", "infinite"})


def place(column: Column, values: Sequence[object] | NDArray[Any]) -> NDArray[np.intp]:
    """Give each value the place of its cell, counted from 0.

    Args:
        column: With its `kind` and `cells`.
        values: One per row; NaN, None and the empty text are missing.

    Raises:
        ValueError: The column has no cell for such a value, or a numeric one holds a text that is no number.
    """
    names = {cell["name"]: at for at, cell in enumerate(column["cells"])}
    if column.get("measure") == "length":
        values = [None if _is_missing(value) else len(str(value)) for value in np.asarray(values).tolist()]
    if column["kind"] == "Numeric":
        return _place_numbers(column, names, values)
    return _place_categories(column, names, values)


def _place_numbers(
    column: Column, names: Mapping[str, int], values: Sequence[object] | NDArray[Any]
) -> NDArray[np.intp]:
    # Models read float32: values and edges are compared after that cast, as a server does it.
    numbers = _numbers(column, values).astype(np.float32)
    bounded = [(at, cell) for at, cell in enumerate(column["cells"]) if cell["name"] not in _UNBOUNDED]
    uppers = np.array([cell.get("upper", -np.inf) for _, cell in bounded], dtype=np.float32)
    places = np.array([at for at, _ in bounded] + [names["above"]], dtype=np.intp)
    # The first cell whose upper edge is not exceeded.
    found = places[np.searchsorted(uppers, np.where(np.isfinite(numbers), numbers, 0), side="left")]
    found[np.isinf(numbers)] = names["infinite"]
    found[np.isnan(numbers)] = names["missing"]
    return found


def _numbers(column: Column, values: Sequence[object] | NDArray[Any]) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    try:
        return np.array([math.nan if _is_missing(v) else float(v) for v in array.tolist()], dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"{column.get('name', 'column')}: {error}; its baseline has numbers"
        raise ValueError(message) from error


def _place_categories(
    column: Column, names: Mapping[str, int], values: Sequence[object] | NDArray[Any]
) -> NDArray[np.intp]:
    known: dict[str, int] = {}
    for at, cell in enumerate(column["cells"]):
        if "value" in cell:
            known[_key(cell["value"])] = at
        for value in cell.get("values") or ():
            known[_key(value)] = at
    catches_all = "other" in names and "values" not in column["cells"][names["other"]]
    otherwise = names["other"] if catches_all else names.get("unseen", names.get("other", 0))
    missing = names.get("missing", otherwise)
    # Few values, many rows: each is looked up once.
    every = np.asarray(values).tolist()
    found = {value: missing if _is_missing(value) else known.get(_key(value), otherwise) for value in set(every)}
    return np.array([found[value] for value in every], dtype=np.intp)


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _key(value: object) -> str:
    """Make 1, 1.0 and "1" one value: a file of text does not tell which it was."""
    if isinstance(value, bool):
        return str(int(value))
    text = str(value)
    if text in ("True", "False"):
        return str(int(text == "True"))
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:g}" if not number.is_integer() or abs(number) > 1e15 else str(int(number))
