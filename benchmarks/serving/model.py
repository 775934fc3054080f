"""The models that are served: files as `serve` reads them, and rows with what ONNX Runtime itself answers to them."""

import shutil
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from kingmaker_serving.package import package

NAME: Final = "churn"
"""In the protocol: /v2/models/churn/infer."""
VERSION: Final = "churn-1"
INPUT: Final = "features"
_SEED: Final = 7
_OPSET: Final = 18


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
        ran = [session.run(["label", "probabilities"], {INPUT: row}) for row in np.split(self.rows, len(self.rows))]
        return np.concatenate([label for label, _ in ran]), np.concatenate([chances for _, chances in ran])


def boosted(folder: Path) -> Model:
    """Train the gradient boosting of 30 features that every figure is about, unless a line says otherwise."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    rows, labels = load_breast_cancer(return_X_y=True)
    return _write(folder, GradientBoostingClassifier(random_state=_SEED), rows.astype(np.float32), labels)


def linear(folder: Path, *, columns: int, rows: int = 2000, seed: int = _SEED) -> Model:
    """Train a small model of so many features, each with the 14 cells that a number has by default."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    drawn = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return _write(folder, LogisticRegression(), drawn, (drawn[:, 0] > 0).astype(np.int64))


def slow(folder: Path, like: Model) -> Model:
    """Make a model that takes a millisecond for its one row, untrained: four layers of 1,024 by 1,024.

    Args:
        folder: For its files.
        like: The model whose rows it is asked, and whose baseline counts them.
    """
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    drawn = np.random.default_rng(_SEED)
    widths = [30, *[1024] * 5, 2]
    nodes, weights, last = [], [], INPUT
    for layer, (before, after) in enumerate(pairwise(widths)):
        name = f"weights {layer}"
        scaled = drawn.normal(size=(before, after), scale=before**-0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(scaled, name))
        nodes.append(helper.make_node("MatMul", [last, name], [f"sum {layer}"]))
        nodes.append(helper.make_node("Tanh", [f"sum {layer}"], [f"layer {layer}"]))
        last = f"layer {layer}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
    outputs = [("label", TensorProto.INT64, [1]), ("probabilities", TensorProto.FLOAT, [1, 2])]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 30])],
        [helper.make_tensor_value_info(*output) for output in outputs],
        initializer=weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    folder.mkdir()
    shutil.copy(like.folder / "baseline.json", folder)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return Model(folder, like.rows)


def _write(folder: Path, estimator: Any, rows: np.ndarray, labels: np.ndarray) -> Model:
    from skl2onnx import to_onnx  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows, labels)
        types = [(INPUT, FloatTensorType([None, rows.shape[1]]))]
        made = to_onnx(estimator, initial_types=types, options={id(estimator): {"zipmap": False}}, target_opset=_OPSET)
    return _package(folder, made.SerializeToString(), rows, labels)


def _package(folder: Path, onnx: bytes, rows: np.ndarray, labels: np.ndarray) -> Model:
    package(
        onnx=onnx,
        rows=rows,
        labels=labels,
        name=VERSION,
        family=NAME,
        version="1",
        out=folder,
        examples=0,
    )
    return Model(folder, rows)
