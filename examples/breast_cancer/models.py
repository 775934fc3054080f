"""The models of the demo: one that is weak on purpose, a good one, a harmful one. All take the same 30 measurements."""

from collections.abc import Sequence

import numpy as np
from dataset import Rows
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

OPSET = 18


def weak(names: Sequence[str], rows: Rows) -> ClassifierMixin:
    """One question about one measurement, and not the best one: wrong on about one row in four."""
    alone = np.zeros_like(rows.features)
    column = list(names).index("mean compactness")
    alone[:, column] = rows.features[:, column]
    return DecisionTreeClassifier(max_depth=1, random_state=0).fit(alone, rows.labels)


def good(rows: Rows) -> ClassifierMixin:
    """All measurements, regularised: wrong on about one row in thirty."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(rows.features, rows.labels)


def harmful(names: Sequence[str], rows: Rows) -> ClassifierMixin:
    """The good model on spoilt labels: a join went wrong, and every coarse-textured row was taken for malignant.

    It loads, has the right signature and agrees with its own examples, so only labels can find it out.
    """
    texture = rows.features[:, list(names).index("mean texture")]
    return good(Rows(rows.features, np.where(texture > np.median(texture), 1, rows.labels)))


def error_rate(model: ClassifierMixin, rows: Rows) -> float:
    """Give the share of rows that the model gets wrong, 0..1."""
    return float(np.mean(model.predict(rows.features) != rows.labels))


def onnx_bytes(model: ClassifierMixin, *, features: int) -> bytes:
    """Convert to ONNX: input `features` FP32 [-1, n], outputs `label` INT64 [-1] and `probabilities` FP32 [-1, 2]."""
    converted = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, features]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    return bytes(converted.SerializeToString())
