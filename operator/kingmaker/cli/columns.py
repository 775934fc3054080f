"""Files of columns: CSV, Parquet, npz."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kingmaker_laptop.errors import LocalError

Columns = Mapping[str, Any]
"""Arrays by name, one entry per row each; of an npz also two-dimensional ones, a row of numbers per row."""


def read_columns(path: Path) -> Columns:
    """Read a file of columns; its ending says which form it has.

    Raises:
        LocalError: It is not there, has another form, or its columns have not one length.
    """
    readers = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise LocalError(f"{path}: expected a file that ends in {', '.join(readers)}")
    try:
        columns = reader(path)
    except (OSError, ValueError, csv.Error, zipfile.BadZipFile) as error:
        raise LocalError(f"{path}: {error}") from error
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise LocalError(f"{path}: columns have {', '.join(map(str, sorted(lengths)))} rows; each needs as many")
    if not lengths or not max(lengths):
        raise LocalError(f"{path}: no rows")
    return columns


def _csv(path: Path) -> Columns:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            message = f"line {number} has {len(row)} fields, the header {len(header)}"
            raise ValueError(message)
    return {name.strip(): [row[i].strip() for row in rows] for i, name in enumerate(header)}


def _parquet(path: Path) -> Columns:
    try:
        from pyarrow import parquet  # noqa: PLC0415  # large, and few need it
    except ModuleNotFoundError as error:
        raise LocalError(
            f"{path}: reading Parquet needs pyarrow, which Kingmaker does not bring along: "
            "python3 -m pip install pyarrow, or write a .csv"
        ) from error
    table = parquet.read_table(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _npz(path: Path) -> Columns:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def wanted(columns: Columns, name: str, path: Path) -> Any:  # noqa: ANN401  # a list or an array
    """Give a column.

    Raises:
        LocalError: There is none of that name; the message lists those that are there.
    """
    if name not in columns:
        there = ", ".join(list(columns)[:20])
        raise LocalError(f"{path}: no column {name!r}; there are {there}")
    return columns[name]


def times(values: Sequence[Any], path: Path) -> list[datetime]:
    """Read moments: ISO 8601 (UTC where no zone is given), or seconds since 1970.

    Raises:
        LocalError: One is neither.
    """
    known: dict[Any, datetime] = {}
    for value in values:
        if value not in known:
            known[value] = _moment(value, path)
    return [known[value] for value in values]


def _moment(value: Any, path: Path) -> datetime:  # noqa: ANN401  # of any file
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    text = str(value).strip()
    try:
        if text.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(text), tz=UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise LocalError(
            f"{path}: {text[:40]!r} is no time: expected ISO 8601 such as 2026-11-01T06:00:00Z, or seconds since 1970"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def whole(value: Any, name: str, path: Path) -> int:  # noqa: ANN401  # of any file
    """Read a count; an empty one is 0.

    Raises:
        LocalError: It is no whole number from 0 on.
    """
    text = str(value if value is not None else "").strip()
    try:
        number = float(text or 0)
    except ValueError:
        number = -1.0
    if number < 0 or not number.is_integer():
        raise LocalError(f"{path}: {name} is {text[:40]!r}, expected a whole number from 0 on")
    return int(number)
