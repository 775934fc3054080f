"""Build a baseline from reference rows: cut every column into cells and count.

Numeric columns get ten quantile cells (scores twenty, with the decision threshold as an edge), every value that more
than one row in twenty has gets a cell of its own; with few distinct values every one of them ends a cell. Numbers keep
their order, however few there are: a new one is above, below or between, never unseen. Categories are texts, truth
values and what is declared to be some. Of texts that hardly ever come again it is the length that is cut into cells.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from kingmaker_serving.counts.baseline import ABOVE, BELOW, INFINITE, MISSING, OTHER, UNSEEN, Cell, Column, Kind
from kingmaker_serving.counts.cells import find_cells, lengths_of

FEATURE_CELLS: Final = 10
SCORE_CELLS: Final = 20
ATOM_SHARE: Final = 0.05
"""A value with more than this share of the rows gets a cell of its own."""
MAX_VALUES: Final = 20
"""Distinct numbers up to which each of them ends a cell."""
FEWEST: Final = 5
"""Rows that a value must have to be more than chance."""
MAX_CATEGORIES: Final = 20
MAX_SELDOM: Final = 1000
"""Categories listed in `other`; with more of them nothing is `unseen` any more."""
FREE_TEXT_SHARE: Final = 0.5
"""Texts of which more than this share were there once are no categories: so many of new ones would be unseen."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A column with its counts, and in which of its cells each reference row lies, shape (rows,)."""

    column: Column
    places: np.ndarray

    def count(self, rows: np.ndarray) -> list[int]:
        """Count some of the rows per cell.

        Args:
            rows: Which, as a mask or as places.
        """
        counts: list[int] = np.bincount(self.places[rows], minlength=len(self.column.cells)).tolist()
        return counts

    def means(self, values: np.ndarray) -> list[float | None]:
        """Give the mean of something per cell; None in empty cells.

        Args:
            values: One per row, finite.
        """
        cells = len(self.column.cells)
        sums = np.bincount(self.places, weights=values, minlength=cells)
        rows = np.bincount(self.places, minlength=cells)
        return [float(s / n) if n else None for s, n in zip(sums, rows, strict=True)]


def cut_column(
    values: np.ndarray,
    *,
    datatype: str,
    name: str = "",
    input: str = "",  # noqa: A002  # the document's word
    output: str = "",
    column: int = 0,
    cells: int = FEATURE_CELLS,
    edges: Sequence[float] = (),
    is_category: bool = False,
    known: np.ndarray | None = None,
) -> Cut:
    """Cut one column into cells and count the reference rows in them.

    Args:
        values: Shape (rows,), of the tensor's dtype.
        datatype: The tensor's.
        name: Of the feature.
        input: Tensor of a feature.
        output: Tensor of a prediction or score.
        column: Column within the tensor.
        cells: Quantile cells of a numeric column.
        edges: Further upper edges, such as a decision threshold.
        is_category: Whether it is declared to be one; texts and truth values are anyway.
        known: Further categories that are no surprise, such as classes that are true but were never predicted.
    """
    measure: Literal["length"] | None = None
    if not is_category and datatype == "BYTES" and _is_free_text(values):
        measure = "length"
        lengths = lengths_of(values).ravel()
        kind, built = Kind.NUMERIC, _numeric(lengths[~np.isnan(lengths)].astype(np.int64), cells, edges)
    elif is_category or datatype in {"BYTES", "BOOL"}:
        kind, built = Kind.CATEGORICAL, _categories(values, known)
    else:
        kind, built = Kind.NUMERIC, _numeric(values, cells, edges)
    made = Column(kind=kind, measure=measure, cells=built, name=name, input=input, output=output, column=column)
    cut = Cut(made, find_cells(made, values, datatype))
    for cell, count in zip(built, cut.count(np.arange(len(values))), strict=True):
        cell.count = count
    if kind is Kind.CATEGORICAL:
        made.singletons = int((np.unique(_finite(values), return_counts=True)[1] == 1).sum())
    return cut


def _is_free_text(values: np.ndarray) -> bool:
    present = _present(values)
    once = sum(times == 1 for times in Counter(present.tolist()).values())
    return once > max(MAX_CATEGORIES, FREE_TEXT_SHARE * len(present))


def _numeric(values: np.ndarray, cells: int, further: Sequence[float]) -> list[Cell]:
    finite = np.sort(_finite(values))
    if not len(finite):
        finite = np.zeros(1, dtype=values.dtype)
    distinct, counts = np.unique(finite, return_counts=True)
    # Of few rows every column has few values; they end cells only when they come back.
    if len(distinct) <= MAX_VALUES and len(distinct) * FEWEST <= len(finite):
        atoms, uppers = set[float](), set(distinct.tolist())
    else:
        atoms = set(distinct[counts > max(ATOM_SHARE * len(finite), FEWEST)].tolist())
        # Quantiles that are values of the reference, so that no edge depends on how numbers are interpolated.
        ranks = np.ceil(np.arange(1, cells + 1) / cells * len(finite)).astype(int) - 1
        before = {_before(atom, values.dtype) for atom in atoms if atom > finite[0]} - {None}
        uppers = {*finite[ranks].tolist(), finite[-1].item(), *atoms, *before}
    within = [edge for edge in further if finite[0] < edge < finite[-1]]
    uppers |= set(np.array(within, dtype=values.dtype).tolist())
    made = [Cell(BELOW, 0, upper=_before(finite[0].item(), values.dtype), rare=True)]
    for index, edge in enumerate(sorted(uppers)):
        is_atom = edge in atoms
        made.append(Cell(str(index), 0, lower=edge if is_atom else None, upper=edge, atom=is_atom))
    return [*made, *(Cell(end, 0, rare=True) for end in (ABOVE, MISSING, INFINITE))]


def _before(value: float, dtype: np.dtype[Any]) -> float | None:
    """Give the largest number of the datatype under `value`; None when there is none."""
    if dtype.kind in "iu":
        return int(value) - 1 if value > np.iinfo(dtype).min else None
    if value <= np.finfo(dtype).min:
        return None
    below: float = np.nextafter(dtype.type(value), dtype.type(-np.inf)).item()
    return below


def _categories(values: np.ndarray, known: np.ndarray | None) -> list[Cell]:
    everything = values if known is None else np.concatenate([values, np.unique(known)])
    found, counts = np.unique(_finite(everything), return_counts=True)
    order = sorted(range(len(found)), key=lambda i: (-counts[i], str(found[i])))
    # In a small reference nothing is frequent enough; then the commonest are still worth a cell. And a class is one.
    often = max(len(values) / 1000, FEWEST) if known is None else 0
    kept = [i for i in order[:MAX_CATEGORIES] if counts[i] >= often] or order[:MAX_CATEGORIES]
    seldom = [i for i in order if i not in set(kept)]
    made = [Cell(f"c{n}", 0, value=_plain(found[i])) for n, i in enumerate(sorted(kept, key=lambda i: found[i]))]
    if seldom:
        listed = [_plain(found[i]) for i in seldom] if len(seldom) <= MAX_SELDOM else None
        made.append(Cell(OTHER, 0, values=listed))
    return [*made, Cell(UNSEEN, 0, rare=True), Cell(MISSING, 0, rare=True)]


def _present(texts: np.ndarray) -> np.ndarray:
    """Leave out the empty string, which is a missing text."""
    return np.asarray(texts[texts != ""])


def _finite(values: np.ndarray) -> np.ndarray:
    """Leave out what is missing, and infinities, which are no value to compare with."""
    if values.dtype.kind == "O":
        return _present(values)
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def _plain(value: Any) -> Any:  # noqa: ANN401  # a numpy scalar becomes Python's own
    return value.item() if isinstance(value, np.generic) else value
