"""Small real models, packaged as anybody would."""

from pathlib import Path

import numpy as np
import yaml
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

from kingmaker_serving.package import package


def packaged(name: str, out: Path, *, seed: int = 0, family: str = "points") -> dict:
    """Train a classifier of points in the plane, package it below `out`, give its Model manifest."""
    drawn = np.random.default_rng(seed)
    rows = drawn.normal(size=(600, 2)).astype(np.float32)
    labels = (rows.sum(axis=1) > 0).astype(np.int64)
    model = LogisticRegression(C=1.0 + seed).fit(rows, labels)
    onnx = to_onnx(
        model,
        initial_types=[("features", FloatTensorType([None, 2]))],
        options={id(model): {"zipmap": False}},
        target_opset=18,
    )
    package(
        onnx=onnx.SerializeToString(),
        rows=rows,
        labels=labels,
        feature_names=["x", "y"],
        name=name,
        family=family,
        version="1",
        out=out / name,
    )
    return yaml.safe_load((out / name / "model.yaml").read_text())
