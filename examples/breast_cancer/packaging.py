"""Package a trained model with the command that anybody would use: `kingmaker-serving package`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dataset import LABEL, Rows, write_csv
from models import onnx_bytes
from sklearn.base import ClassifierMixin

FAMILY = "breast-cancer"


def package(
    model: ClassifierMixin,
    *,
    name: str,
    version: str,
    names: Sequence[str],
    rows: Rows,
    out: Path,
    uri_prefix: str,
    accuracy: float | None = None,
) -> dict[str, Any]:
    """Write model.onnx, baseline.json, examples.json and model.yaml into `out`.

    Args:
        model: Trained on `rows`.
        name: Name of the Model resource.
        version: Version within the family.
        names: Names of the features, in the order of the columns.
        rows: The training rows, reference of the baseline.
        out: Folder; created.
        uri_prefix: Where the files can be read from once they are there, ending with a slash.
        accuracy: Measured on rows that the model did not see, 0..1; None when there were none.

    Returns:
        Digests and URIs as a retraining Job reports them.

    Raises:
        RuntimeError: The command failed; the message is what it said.
    """
    metric = [] if accuracy is None else ["--metric", f"accuracy={accuracy:.4f}"]
    with TemporaryDirectory() as folder:
        onnx, data = Path(folder, "model.onnx"), Path(folder, "train.csv")
        onnx.write_bytes(onnx_bytes(model, features=len(names)))
        write_csv(data, names, rows)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "kingmaker_serving", "package"),
                *("--onnx", str(onnx), "--data", str(data), "--label", LABEL),
                *("--name", name, "--family", FAMILY, "--version", version),
                *("--out", str(out), "--uri-prefix", uri_prefix, *metric),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        message = f"kingmaker-serving package exited with {done.returncode}: {done.stderr.strip()[-1500:]}"
        raise RuntimeError(message)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
