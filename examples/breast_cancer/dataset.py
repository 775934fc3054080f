"""scikit-learn's breast-cancer data in three parts that never mix: to train on, to record, to be judged on."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

LABEL = "malignant"
"""Name of the label's column: 1 for malignant, 0 for benign."""

ARRIVED = "arrived"
"""Name of the column with the Unix time at which a row's label arrived, in files of fresh rows."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of measurements: `features` FP32 [n, 30], `labels` INT64 [n]."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Parts:
    """The 569 rows, stratified by label.

    `training` (285) makes the first models. The other rows are live traffic: `recorded` (142) end up, labelled, in the
    file that retraining reads; `judged` (142) only ever judge models, so that no model is judged on what it learnt.
    """

    names: tuple[str, ...]
    training: Rows
    recorded: Rows
    judged: Rows


def load_parts(seed: int = 0) -> Parts:
    """Load the data and cut it into its parts, the same ones for the same seed."""
    bunch = load_breast_cancer()
    features = np.asarray(bunch.data, dtype=np.float32)
    labels = (1 - np.asarray(bunch.target)).astype(np.int64)
    training, live = train_test_split(np.arange(len(labels)), train_size=285, stratify=labels, random_state=seed)
    recorded, judged = train_test_split(live, train_size=142, stratify=labels[live], random_state=seed)
    return Parts(
        tuple(str(name) for name in bunch.feature_names),
        *(Rows(features[part], labels[part]) for part in (training, recorded, judged)),
    )


def write_csv(path: Path, names: Sequence[str], rows: Rows) -> None:
    """Write rows as CSV: a column per feature, then the label."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*names, LABEL])
        for features, label in zip(rows.features.tolist(), rows.labels.tolist(), strict=True):
            writer.writerow([*(f"{value:.9g}" for value in features), label])


def read_csv(source: Path | str, *, since: float = 0.0) -> tuple[tuple[str, ...], Rows]:
    """Read rows as `write_csv` writes them; with a column `arrived`, only those that arrived at or after `since`.

    Args:
        source: A path, or a URI that fsspec can read, such as `s3://bucket/rows.csv`.
        since: Unix time.

    Raises:
        ValueError: A column or a value is not what it has to be; the message names file, line and column.
    """
    with fsspec.open(str(source), "rt", newline="") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        if LABEL not in header:
            message = f"{source}: no column {LABEL!r}; found {', '.join(header[:3]) or 'nothing'}..."
            raise ValueError(message)
        names = tuple(name for name in header if name not in {LABEL, ARRIVED})
        records = [dict(zip(header, line, strict=False)) for line in reader]
    kept = [record for record in records if float(record.get(ARRIVED, "inf")) >= since]
    return names, Rows(
        np.array(list(_numbers(source, kept, names)), dtype=np.float32).reshape(-1, len(names)),
        np.array([int(record[LABEL]) for record in kept], dtype=np.int64),
    )


def _numbers(source: Path | str, records: Iterable[dict[str, str]], names: Sequence[str]) -> Iterable[list[float]]:
    for number, record in enumerate(records, start=1):
        try:
            yield [float(record[name]) for name in names]
        except (KeyError, ValueError) as error:
            message = f"{source}: row {number} is not complete: {error}"
            raise ValueError(message) from error
