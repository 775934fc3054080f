"""Train the two models of the quickstart on iris and write their manifests beside this file.

python examples/quickstart/build.py
"""

from pathlib import Path

import numpy as np
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from kingmaker_serving.package import package

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
    for name, model in models.items():
        accuracy = float(model.score(test, truth))
        onnx = to_onnx(
            model,
            initial_types=[("features", FloatTensorType([None, 4]))],
            options={id(model): {"zipmap": False}},
            target_opset=18,
        )
        result = package(
            onnx=onnx.SerializeToString(),
            rows=train,
            labels=labels,
            feature_names=names,
            holdout=test,
            holdout_labels=truth,
            name=name,
            family="iris",
            version=name.removeprefix("iris-"),
            out=HERE / "artifacts" / name,
            metrics={"accuracy": f"{accuracy:.4f}"},
            framework=f"scikit-learn {sklearn.__version__}",
        )
        # Where `kubectl apply -f examples/quickstart/` finds it.
        (HERE / f"model-{name}.yaml").write_text(result.manifest)
        print(f"examples/quickstart/model-{name}.yaml: right on {accuracy:.0%} of {len(truth)} rows")


if __name__ == "__main__":
    main()
