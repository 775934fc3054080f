"""Package a trained model: the file, the reference that live data is compared with, examples, a manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from dataset import Rows
from models import onnx_bytes
from sklearn.base import ClassifierMixin

from kingmaker_serving.package import package

FAMILY = "breast-cancer"


def package_model(
    model: ClassifierMixin,
    *,
    name: str,
    version: str,
    names: Sequence[str],
    rows: Rows,
    held_out: Rows,
    source: str,
    out: Path,
    uri_prefix: str | None = None,
    accuracy: float | None = None,
) -> dict[str, Any]:
    """Write model.onnx, baseline.json, examples.json and model.yaml into `out`.

    Args:
        model: Trained on `rows`.
        name: Name of the Model resource.
        version: Version within the family.
        names: Names of the features, in the order of the columns.
        rows: The training rows.
        held_out: Rows that the model was not fitted on: the reference of its predictions and scores, and together with
            `rows` that of its features.
        source: Where the rows are from, for the lineage.
        out: Folder; created.
        uri_prefix: Where the files can be read from once they are there; None for `out` itself.
        accuracy: Measured on rows that the model did not see, 0..1; None when there were none.

    Returns:
        Digests and URIs as a retraining Job reports them.
    """
    return package(
        onnx=onnx_bytes(model, features=len(names)),
        rows=np.concatenate([rows.features, held_out.features]),
        labels=np.concatenate([rows.labels, held_out.labels]),
        feature_names=names,
        holdout=np.arange(len(rows) + len(held_out)) >= len(rows),
        name=name,
        family=FAMILY,
        version=version,
        out=out,
        uri_prefix=uri_prefix,
        metrics={} if accuracy is None else {"accuracy": f"{accuracy:.4f}"},
        training_data=[{"uri": source, "rows": len(rows)}],
        framework=f"scikit-learn {sklearn.__version__}",
    ).report
