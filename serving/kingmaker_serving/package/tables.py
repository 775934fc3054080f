"""Rows in the forms that people have them, as columns: arrays, pandas, Polars, Arrow, CSV, Parquet, npz.

No library of data frames is needed, and none is imported unless a file asks for it: frames are known by what they can.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from kingmaker_serving.errors import Reason, VerbError

_ABSENT: Final = frozenset({"NoneType", "NAType", "NaTType"})
"""Types whose values mean that there is none: Python's, pandas' for any type, and its one for times."""


class Table:
    """Columns by name, each of one length. `categorical` are those that their frame says are categories."""

    def __init__(self, columns: Mapping[str, np.ndarray], categorical: frozenset[str] = frozenset()) -> None:
        """Take arrays of shape (rows,) or (rows, width)."""
        self.columns = dict(columns)
        self.categorical = categorical
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1 or not lengths or not all(lengths.values()):
            raise invalid(f"columns have {str(lengths)[:500]} rows; expected the same number, at least 1, in each")

    @property
    def rows(self) -> int:
        """How many rows each column has."""
        return len(next(iter(self.columns.values())))

    def take(self, name: str) -> np.ndarray:
        """Take a column out.

        Raises:
            VerbError: There is none of that name.
        """
        if name not in self.columns:
            raise invalid(f"there is no column {name!r}, only {str(sorted(self.columns))[:500]}")
        return self.columns.pop(name)


def read_table(path: Path) -> Table:
    """Read a `.csv` with a header, a `.parquet`, or a `.npz` with one array per column or tensor.

    Raises:
        VerbError: Another kind of file, no table, or a library is needed that is not installed.
    """
    readers: dict[str, Callable[[Path], Table]] = {".csv": _read_csv, ".npz": _read_npz, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise invalid(f"{path.name} is neither {', '.join(sorted(readers))}")
    try:
        return reader(path)
    except VerbError:
        raise
    except Exception as error:  # each library has errors of its own
        raise invalid(f"{path.name} can't be read: {error}") from error


def as_table(rows: Any) -> Table:  # noqa: ANN401
    """Take the columns of a frame.

    Args:
        rows: A `Table`, a data frame of pandas or Polars, a table of Arrow, an array with named fields, or a mapping of
            columns by name.

    Raises:
        VerbError: It is something else, or its columns differ in length.
    """
    if isinstance(rows, Table):
        return rows
    if isinstance(rows, Mapping):
        names: Sequence[Any] = list(rows)
    elif isinstance(rows, np.ndarray) and rows.dtype.names:
        names = list(rows.dtype.names)
    elif hasattr(rows, "column_names"):  # Arrow's `columns` are the columns themselves
        names = list(rows.column_names)
    elif hasattr(rows, "columns"):
        names = list(rows.columns)
    else:
        raise invalid(f"rows are a {type(rows).__name__}; expected an array, a mapping or a data frame")
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise invalid(f"columns {str(repeated)[:500]} are there more than once; names must be unique")
    columns = {str(name): rows[name] for name in names}
    categorical = frozenset(name for name, column in columns.items() if _is_categorical(column))
    return Table({name: as_array(column) for name, column in columns.items()}, categorical)


def as_array(column: Any) -> np.ndarray:  # noqa: ANN401
    """Give a column as an array: numbers, times or truth values as they are, else objects.

    A number that is missing is NaN, anything else that is missing is None.
    """
    if hasattr(column, "type") and hasattr(column, "null_count"):  # Arrow's, which else gives numbers alone
        if hasattr(column.type, "value_type") and str(column.type).startswith("dictionary"):
            column = column.cast(column.type.value_type)  # chunks of a dictionary lose what is missing
        array = column.to_numpy(zero_copy_only=False)
    else:
        array = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)
    return _objects(array) if array.dtype.kind == "O" else array


def is_absent(value: Any) -> bool:  # noqa: ANN401
    """Whether a value of a frame means that there is none: None, NaN, or what pandas has for it."""
    return type(value).__name__ in _ABSENT or (isinstance(value, float) and value != value)  # noqa: PLR0124


def objects(values: Sequence[Any]) -> np.ndarray:
    """Make an array of objects, whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def invalid(problem: str) -> VerbError:
    """Build the error of rows that can't become a reference."""
    return VerbError(Reason.INVALID_BASELINE, f"training data: {problem}")


def _objects(array: np.ndarray) -> np.ndarray:
    """Look whether objects are numbers, of which some are missing: what pandas' nullable columns give."""
    values = array.ravel().tolist()
    kinds = {type(value) for value in values if not is_absent(value)}
    if kinds and kinds <= {int, float}:
        return np.array([np.nan if is_absent(value) else value for value in values], dtype=float).reshape(array.shape)
    return objects([None if is_absent(value) else value for value in values]).reshape(array.shape)


def _is_categorical(column: Any) -> bool:  # noqa: ANN401
    kind = str(getattr(column, "dtype", None) or getattr(column, "type", "")).lower()
    return kind.startswith(("category", "categorical", "enum", "dictionary"))


def _read_csv(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise invalid(f"{path.name} has header {str(header)[:500]}; names must be unique")
        lines = []
        for line in reader:
            if line and len(line) != len(header):
                found = f"{path.name} has {len(line)} values in line {reader.line_num}"
                raise invalid(f"{found}, expected {len(header)} as in its header")
            lines += [line] if line else []
    if not lines:
        raise invalid(f"{path.name} has no rows; expected a header and a line per row")
    return Table({name: objects(column) for name, column in zip(header, zip(*lines, strict=True), strict=True)})


def _read_npz(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as arrays:
        return Table({name: arrays[name] for name in arrays.files})


def _read_parquet(path: Path) -> Table:
    for library, read in (("pyarrow.parquet", "read_table"), ("polars", "read_parquet")):
        try:
            module = import_module(library)
        except ImportError:
            continue
        return as_table(getattr(module, read)(path))
    raise invalid(f"{path.name} needs pyarrow or polars to be read: `pip install pyarrow`, or give it as .csv or .npz")
