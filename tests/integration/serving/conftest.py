"""Two packaged classifiers of one family that disagree on every row, and servers of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from kingmaker_serving.package import package
from support.onnx_models import a_classifier
from support.servers import CLASSES, Server, a_server

NAMES = ["age", "income", "visits"]


class Serve(Protocol):
    """Starts a server that ends with the test."""

    def __call__(self, folder: Path, *arguments: str, **fields: Any) -> Server: ...


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of `churn-1` and of `churn-2`, which says the opposite."""
    folders = {}
    for name, flipped in (("churn-1", False), ("churn-2", True)):
        onnx, rows, labels = a_classifier(seed=5, flipped=flipped)
        out = tmp_path_factory.mktemp(name) / "model"
        package(
            onnx=onnx, rows=rows, labels=labels, feature_names=NAMES, name=name, family="churn", version="1", out=out
        )
        folders[name] = out
    return folders


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(folder: Path, *arguments: str, **fields: Any) -> Server:
            return stack.enter_context(a_server(folder, *arguments, **({"task": CLASSES} | fields)))

        yield start


@pytest.fixture
def rows() -> np.ndarray:
    """Rows that both models have an opinion on."""
    return np.array([[2, 0, 0], [-2, 0, 0], [2, 2, 2]], dtype=np.float32)
