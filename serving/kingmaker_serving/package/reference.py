"""Build a baseline from reference rows: cut every column into cells and count.

Numeric columns get ten quantile cells (scores twenty, with the decision threshold as an edge), every value that more
than one row in twenty has gets a cell of its own. Columns of few distinct values become categories.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from kingmaker_serving.counts.baseline import ABOVE, BELOW, INFINITE, MISSING, OTHER, UNSEEN, Cell, Column, Kind
from kingmaker_serving.counts.cells import CellCounts

FEATURE_CELLS: Final = 10
SCORE_CELLS: Final = 20
ATOM_SHARE: Final = 0.05
"""A value with more than this share of the rows gets a cell of its own."""
MAX_CATEGORIES: Final = 20
MAX_SELDOM: Final = 1000
"""Categories listed in `other`; with more of them nothing is `unseen` any more."""


def build_column(
    values: np.ndarray,
    *,
    datatype: str,
    name: str = "",
    input: str = "",  # noqa: A002  # the document's word
    output: str = "",
    column: int = 0,
    wrong: np.ndarray | None = None,
    cells: int = FEATURE_CELLS,
    edges: Sequence[float] = (),
    is_category: bool | None = None,
    known: np.ndarray | None = None,
) -> Column:
    """Cut one column into cells and count the reference rows in them.

    Args:
        values: Shape (rows,), of the tensor's dtype.
        datatype: The tensor's.
        name: Of the feature.
        input: Tensor of a feature.
        output: Tensor of a prediction or score.
        column: Column within the tensor.
        wrong: Per row, whether the model's answer was wrong; None when that is not known.
        cells: Quantile cells of a numeric column.
        edges: Further upper edges, such as a decision threshold.
        is_category: Decides the kind; None lets the number of distinct values decide.
        known: Further categories that are no surprise, such as classes that are true but were never predicted.
    """
    if is_category is None:
        is_category = _looks_categorical(values)
    if is_category:
        built = _categories(values, known)
        kind = Kind.CATEGORICAL
    else:
        built = _numeric(values, cells, edges)
        kind = Kind.NUMERIC
    made = Column(kind=kind, cells=built, name=name, input=input, output=output, column=column)
    _count(made, values, datatype, wrong)
    return made


def _looks_categorical(values: np.ndarray) -> bool:
    if values.dtype.kind in "Ob":
        return True
    distinct = len(np.unique(values[np.isfinite(values)]))
    # With few rows every column has few values; they are categories only when they come back.
    return distinct <= MAX_CATEGORIES and distinct * 5 <= len(values)


def _numeric(values: np.ndarray, cells: int, further: Sequence[float]) -> list[Cell]:
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        finite = np.zeros(1, dtype=values.dtype)
    atoms, counts = np.unique(finite, return_counts=True)
    atoms = atoms[counts > ATOM_SHARE * len(finite)]
    # Quantiles that are values of the reference, so that no edge depends on how numbers are interpolated.
    ranks = np.ceil(np.arange(1, cells + 1) / cells * len(finite)).astype(int) - 1
    uppers = {*finite[ranks].tolist(), finite[-1].item(), *atoms.tolist()}
    within = [edge for edge in further if finite[0] < edge < finite[-1]]
    uppers |= set(np.array(within, dtype=values.dtype).tolist())
    singles = set(atoms.tolist())
    for atom in singles:
        before = _before(atom, values.dtype)
        if atom > finite[0] and before is not None:
            uppers.add(before)
    first = _before(finite[0].item(), values.dtype)
    made = [Cell(BELOW, 0, upper=first, rare=True)]
    for index, edge in enumerate(sorted(uppers)):
        is_atom = edge in singles
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
    present = everything[everything != ""] if values.dtype.kind == "O" else everything[_is_finite(everything)]
    found, counts = np.unique(present, return_counts=True)
    order = sorted(range(len(found)), key=lambda i: (-counts[i], str(found[i])))
    # In a small reference nothing is frequent enough; then the commonest are still worth a cell. And a class is one.
    often = max(len(values) / 1000, 5) if known is None else 0
    kept = [i for i in order[:MAX_CATEGORIES] if counts[i] >= often] or order[:MAX_CATEGORIES]
    seldom = [i for i in order if i not in set(kept)]
    made = [Cell(f"c{n}", 0, value=_plain(found[i])) for n, i in enumerate(sorted(kept, key=lambda i: found[i]))]
    if seldom:
        listed = [_plain(found[i]) for i in seldom] if len(seldom) <= MAX_SELDOM else None
        made.append(Cell(OTHER, 0, values=listed))
    return [*made, Cell(UNSEEN, 0, rare=True), Cell(MISSING, 0, rare=True)]


def _is_finite(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)


def _plain(value: Any) -> Any:  # noqa: ANN401  # a numpy scalar becomes Python's own
    return value.item() if isinstance(value, np.generic) else value


def _count(column: Column, values: np.ndarray, datatype: str, wrong: np.ndarray | None) -> None:
    source = Column(kind=column.kind, cells=column.cells, input="values")
    counter = CellCounts([source], {"values": datatype})
    counter.add({"values": values})
    for cell, count in zip(column.cells, counter.counts.tolist(), strict=True):
        cell.count = count
    if wrong is None:
        return
    errors = CellCounts([source], {"values": datatype})
    errors.add({"values": values[wrong]})
    for cell, count in zip(column.cells, errors.counts.tolist(), strict=True):
        if not cell.rare:
            cell.wrong = count
