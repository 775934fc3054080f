"""Export small models as people do, by the exporters' defaults, with inputs and the library's own answers.

    python3 -m venv build/exporters
    build/exporters/bin/pip install --require-hashes --no-deps -r tests/programs/exporters/requirements.lock
    build/exporters/bin/python tests/programs/exporters/export.py tests/data/exporters

Each case is two files: NAME.onnx, and NAME.json with the inputs as tensors of the protocol and the answers in the order
of the outputs, probabilities as a matrix. They are kept in the repository: no exporter is needed to test with them.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")
DRAWN = np.random.default_rng(7)
X = DRAWN.normal(size=(120, 4)).astype(np.float32)
TWO = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
THREE = np.digitize(X[:, 0], [-0.5, 0.5]).astype(np.int64)
NAMED = np.array(["high", "low", "medium"])[THREE]
REAL = (2 * X[:, 0] - X[:, 1]).astype(np.float32)
ASKED = X[:5]
Made = tuple[bytes, dict[str, np.ndarray], list[Any]]
"""ONNX, inputs, and the library's answers in the order of the outputs; None where it has none to compare."""
Cases = Iterator[tuple[str, Callable[[], Made]]]


def scikit_learn() -> Cases:
    """Estimators and pipelines, by skl2onnx."""
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    few: dict[str, Any] = {"n_estimators": 3, "random_state": 1}
    small: dict[str, Any] = {"max_depth": 2, **few}
    classifiers = [
        linear_model.LogisticRegression(),
        naive_bayes.GaussianNB(),
        tree.DecisionTreeClassifier(max_depth=3),
        ensemble.RandomForestClassifier(**small),
        ensemble.ExtraTreesClassifier(**small),
        ensemble.GradientBoostingClassifier(**small),
        ensemble.HistGradientBoostingClassifier(max_iter=3),
        ensemble.AdaBoostClassifier(**few),
        ensemble.BaggingClassifier(**few),
        neighbors.KNeighborsClassifier(3),
        neural_network.MLPClassifier((4,), max_iter=50, random_state=1),
        svm.SVC(probability=True, random_state=1),
        make_pipeline(StandardScaler(), linear_model.LogisticRegression()),
        make_pipeline(MinMaxScaler(), linear_model.SGDClassifier(loss="log_loss")),
    ]
    for model in classifiers:
        for labels, target in (("two", TWO), ("three", THREE), ("named", NAMED)):
            yield f"sklearn-{_name(model)}-{labels}", partial(_classifier, model, target)
    regressors = [
        linear_model.LinearRegression(),
        linear_model.ElasticNet(0.1),
        ensemble.RandomForestRegressor(**small),
        ensemble.GradientBoostingRegressor(**small),
        ensemble.HistGradientBoostingRegressor(max_iter=3),
        neighbors.KNeighborsRegressor(3),
        neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=50, random_state=1),
        svm.SVR(),
    ]
    for model in regressors:
        yield f"sklearn-{_name(model)}", partial(_regressor, model)
    yield "sklearn-LinearSVC", partial(_only_labels, svm.LinearSVC())
    yield "sklearn-MultiOutputClassifier", partial(_several, MultiOutputClassifier(linear_model.LogisticRegression()))
    yield "sklearn-ColumnTransformer", _columns
    yield "sklearn-300-columns", _many_columns


def _name(model: Any) -> str:
    return "-".join(name for name, _ in model.steps) if hasattr(model, "steps") else type(model).__name__


def _classifier(model: Any, target: np.ndarray) -> Made:
    from skl2onnx import to_onnx

    model.fit(X, target)
    return to_onnx(model, X[:1]).SerializeToString(), {"X": ASKED}, [model.predict(ASKED), model.predict_proba(ASKED)]


def _regressor(model: Any) -> Made:
    from skl2onnx import to_onnx

    model.fit(X, REAL)
    return to_onnx(model, X[:1]).SerializeToString(), {"X": ASKED}, [model.predict(ASKED).reshape(-1, 1)]


def _only_labels(model: Any) -> Made:
    from skl2onnx import to_onnx

    model.fit(X, TWO)
    return to_onnx(model, X[:1]).SerializeToString(), {"X": ASKED}, [model.predict(ASKED), None]


def _several(model: Any) -> Made:
    from skl2onnx import to_onnx

    model.fit(X, np.stack([TWO, THREE], axis=1))
    answers = [model.predict(ASKED), *model.predict_proba(ASKED)]
    return to_onnx(model, X[:1]).SerializeToString(), {"X": ASKED}, answers


def _columns() -> Made:
    """One input per column of a data frame."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    plans = np.array(["basic", "plus", "premium"])[THREE]
    frame = pd.DataFrame({"age": X[:, 0], "visits": X[:, 1], "plan": plans})
    steps = [("numbers", StandardScaler(), ["age", "visits"]), ("plan", OneHotEncoder(), ["plan"])]
    return _frame(frame, ColumnTransformer(steps))


def _many_columns() -> Made:
    """Three hundred inputs."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer

    frame = pd.DataFrame({f"column_{n:03}": DRAWN.normal(size=120).astype(np.float32) for n in range(300)})
    frame["column_000"] = X[:, 0]
    return _frame(frame, ColumnTransformer([("all", "passthrough", list(frame))]))


def _frame(frame: Any, transform: Any) -> Made:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(transform, LogisticRegression()).fit(frame, TWO)
    asked = frame[:3]
    inputs = {name: asked[[name]].to_numpy() for name in frame}
    return to_onnx(model, frame[:1]).SerializeToString(), inputs, [model.predict(asked), model.predict_proba(asked)]


def text() -> Cases:
    """Words counted and weighed, by skl2onnx: ONNX Runtime's own tokenizer, and a locale."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    yield "sklearn-CountVectorizer", partial(_words, CountVectorizer())
    yield "sklearn-TfidfVectorizer", partial(_words, TfidfVectorizer())
    yield "sklearn-TfidfVectorizer-bigrams", partial(_words, TfidfVectorizer(ngram_range=(1, 2)))
    yield "sklearn-TfidfVectorizer-as-it-is", partial(_words, TfidfVectorizer(lowercase=False))


def _words(vectorizer: Any) -> Made:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # ASCII: unless it is told otherwise, skl2onnx writes a tokenizer that knows no other letters.
    texts = ["Good product", "bad thing", "Very GOOD indeed", "awful bad", "nice APPLES", "terrible thing"]
    model = make_pipeline(vectorizer, LogisticRegression()).fit(texts, [1, 0, 1, 0, 1, 0])
    content = convert_sklearn(model, initial_types=[("text", StringTensorType([None, 1]))]).SerializeToString()
    asked = np.array([["GOOD thing"], ["Nice apples"], ["unknown words"]], dtype=object)
    return content, {"text": asked}, [model.predict(asked[:, 0]), model.predict_proba(asked[:, 0])]


def boosting() -> Cases:
    """LightGBM and XGBoost by onnxmltools, CatBoost by its own export."""
    for labels, target in (("two", TWO), ("three", THREE), ("named", NAMED)):
        yield f"lightgbm-{labels}", partial(_lightgbm, target, "Classifier")
        yield f"catboost-{labels}", partial(_catboost, target, "Classifier")
        if labels != "named":  # XGBoost has no names of classes
            yield f"xgboost-{labels}", partial(_xgboost, target, "Classifier")
    yield "lightgbm-regressor", partial(_lightgbm, REAL, "Regressor")
    yield "catboost-regressor", partial(_catboost, REAL, "Regressor")
    yield "xgboost-regressor", partial(_xgboost, REAL, "Regressor")


def _lightgbm(target: np.ndarray, kind: str) -> Made:
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = getattr(lightgbm, f"LGBM{kind}")(n_estimators=3, num_leaves=4, verbose=-1).fit(X, target)
    content = convert_lightgbm(model, initial_types=[("input", FloatTensorType([None, 4]))]).SerializeToString()
    return content, {"input": ASKED}, _answers(model)


def _xgboost(target: np.ndarray, kind: str) -> Made:
    import xgboost
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = getattr(xgboost, f"XGB{kind}")(n_estimators=3, max_depth=2).fit(X, target)
    content = convert_xgboost(model, initial_types=[("input", FloatTensorType([None, 4]))]).SerializeToString()
    return content, {"input": ASKED}, _answers(model)


def _catboost(target: np.ndarray, kind: str) -> Made:
    import catboost

    model = getattr(catboost, f"CatBoost{kind}")(iterations=3, depth=2, verbose=0, allow_writing_files=False)
    model.fit(X, target)
    return _saved(lambda path: model.save_model(path, format="onnx")), {"features": ASKED}, _answers(model)


def _answers(model: Any) -> list[Any]:
    labels = np.asarray(model.predict(ASKED))
    return (
        [labels.reshape(-1), model.predict_proba(ASKED)] if hasattr(model, "predict_proba") else [labels.reshape(-1, 1)]
    )


def pytorch() -> Cases:
    """A table, a small image, several inputs and halves, by both of PyTorch's exporters."""
    import torch
    from torch import nn

    class Pair(nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return a + b, a * b

    torch.manual_seed(1)
    row = torch.from_numpy(X[:1])
    table = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    image = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    models: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "table": (table, (row,)),
        "image": (image, (torch.rand(1, 3, 8, 8),)),
        "pair": (Pair(), (row, row + 1)),
        "half": (nn.Linear(4, 2).half(), (row.half(),)),
    }
    for name, (model, given) in models.items():
        for exporter in ("dynamo", "legacy"):
            yield f"pytorch-{exporter}-{name}", partial(_torch, model.eval(), given, exporter)


def _torch(model: Any, given: tuple[Any, ...], exporter: str) -> Made:
    import onnx
    import torch

    options: dict[str, Any] = {"dynamo": True, "external_data": False} if exporter == "dynamo" else {"dynamo": False}
    content = _without_places(_saved(lambda path: torch.onnx.export(model, given, path, **options)))
    names = [value.name for value in onnx.load_from_string(content).graph.input]
    answers = model(*given)
    answers = answers if isinstance(answers, tuple) else (answers,)
    inputs = {name: value.numpy() for name, value in zip(names, given, strict=True)}
    return content, inputs, [value.detach().numpy() for value in answers]


def _without_places(content: bytes) -> bytes:
    """Take out where on this machine the model's code lay; nothing else of what the exporter wrote changes."""
    import onnx

    model = onnx.load_from_string(content)
    for part in (model.graph, *model.functions):
        for entry in (entry for node in part.node for entry in node.metadata_props):
            entry.value = entry.value.replace(f"{Path(__file__).parents[3]}/", "")
    return model.SerializeToString()


def _saved(save: Callable[[str], Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save(str(path))
        return path.read_bytes()


DATATYPES = {"f": {2: "FP16", 4: "FP32", 8: "FP64"}, "i": {4: "INT32", 8: "INT64"}}


def tensor(array: Any) -> dict[str, Any] | None:
    """Write an array as a tensor of the protocol."""
    if array is None:
        return None
    found = np.asarray(array)
    datatype = DATATYPES[found.dtype.kind][found.dtype.itemsize] if found.dtype.kind in DATATYPES else "BYTES"
    return {"datatype": datatype, "shape": list(found.shape), "data": found.reshape(-1).tolist()}


def main(out: Path) -> None:
    """Write every case that its exporter makes; say which it does not."""
    out.mkdir(parents=True, exist_ok=True)
    for family in (scikit_learn, text, boosting, pytorch):
        made = 0
        for name, make in family():
            try:
                content, inputs, answers = make()
            except Exception as error:  # noqa: BLE001  # whatever it is, the exporter made no model
                print(f"{name}: not exported: {type(error).__name__}: {str(error)[:200]!r}")
                continue
            (out / f"{name}.onnx").write_bytes(content)
            inputs_ = {key: tensor(value) for key, value in inputs.items()}
            document = {"inputs": inputs_, "outputs": [tensor(value) for value in answers]}
            (out / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
            made += 1
        print(f"{family.__name__}: {made}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
