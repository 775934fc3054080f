"""Train the two models of the quickstart on iris and write their manifests beside this file.

python examples/quickstart/build.py
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

HERE = Path(__file__).parent.absolute()


def main() -> None:
    """Write model-*.yaml and artifacts/."""
    iris = load_iris()
    features = iris.data.astype(np.float32)
    train, test, labels, truth = train_test_split(
        features, iris.target, test_size=0.3, stratify=iris.target, random_state=0
    )
    names = [name.removesuffix(" (cm)") for name in iris.feature_names]
    models = {
        "iris-1": DecisionTreeClassifier(max_depth=1, random_state=0).fit(train, labels),
        "iris-2": LogisticRegression(max_iter=1000).fit(train, labels),
    }
    with TemporaryDirectory() as folder:
        data = Path(folder, "train.csv")
        table = [
            ",".join([*names, "species"]),
            *(",".join(map(str, row)) for row in zip(*train.T, labels, strict=True)),
        ]
        data.write_text("\n".join(table) + "\n")
        for name, model in models.items():
            package(name, model, data, accuracy=float(model.score(test, truth)))
            print(
                f"examples/quickstart/model-{name}.yaml: right on {model.score(test, truth):.0%} of {len(truth)} rows"
            )


def package(name: str, model: ClassifierMixin, data: Path, *, accuracy: float) -> None:
    """Package one model below artifacts/ and put its manifest where `kubectl apply -f` finds it."""
    onnx = data.with_name(f"{name}.onnx")
    inputs = [("features", FloatTensorType([None, 4]))]
    options = {id(model): {"zipmap": False}}
    onnx.write_bytes(to_onnx(model, initial_types=inputs, options=options, target_opset=18).SerializeToString())
    out = HERE / "artifacts" / name
    subprocess.run(
        [
            *(sys.executable, "-m", "kingmaker_serving", "package"),
            *("--onnx", str(onnx), "--data", str(data), "--label", "species"),
            *("--name", name, "--family", "iris", "--version", name.removeprefix("iris-")),
            *("--out", str(out), "--uri-prefix", f"{out.as_uri()}/", "--metric", f"accuracy={accuracy:.4f}"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (HERE / f"model-{name}.yaml").write_text((out / "model.yaml").read_text())


if __name__ == "__main__":
    main()
