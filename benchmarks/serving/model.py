"""The models that are served: files as `serve` reads them, and rows with what ONNX Runtime itself answers to them."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from kingmaker_serving.package import package

NAME: Final = "churn"
"""In the protocol: /v2/models/churn/infer."""
VERSION: Final = "churn-1"
INPUT: Final = "features"
_SEED: Final = 7


@dataclass(frozen=True)
class Model:
    """A model with its files in `folder` (model.onnx, baseline.json) and rows to ask it, FP32 [n, columns]."""

    folder: Path
    rows: np.ndarray

    @property
    def onnx(self) -> Path:
        """The file."""
        return self.folder / "model.onnx"

    @property
    def columns(self) -> int:
        """Features of a row."""
        return int(self.rows.shape[1])

    @cached_property
    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """What is right for every row: label INT64 [n], probabilities FP32 [n, 2]."""
        import onnxruntime  # noqa: PLC0415  # only the bench's own process needs it, and only once

        session = onnxruntime.InferenceSession(self.onnx.as_posix(), providers=["CPUExecutionProvider"])
        label, probabilities = session.run(["label", "probabilities"], {INPUT: self.rows})
        return label, probabilities


def boosted(folder: Path) -> Model:
    """Train the gradient boosting of 30 features that every figure is about, unless a line says otherwise."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    rows, labels = load_breast_cancer(return_X_y=True)
    return _write(folder, GradientBoostingClassifier(random_state=_SEED), rows.astype(np.float32), labels)


def linear(folder: Path, *, columns: int, rows: int = 2000) -> Model:
    """Train a small model of so many features; with 2,000 reference rows each of them has the usual dozen of cells."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    drawn = np.random.default_rng(_SEED).normal(size=(rows, columns)).astype(np.float32)
    return _write(folder, LogisticRegression(), drawn, (drawn[:, 0] > 0).astype(np.int64))


def _write(folder: Path, estimator: Any, rows: np.ndarray, labels: np.ndarray) -> Model:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows, labels)
        types = [(INPUT, FloatTensorType([None, rows.shape[1]]))]
        made = to_onnx(estimator, initial_types=types, options={id(estimator): {"zipmap": False}}, target_opset=18)
    package(
        onnx=made.SerializeToString(),
        rows=rows,
        labels=labels,
        name=VERSION,
        family=NAME,
        version="1",
        out=folder,
        examples=0,
    )
    return Model(folder, rows)
