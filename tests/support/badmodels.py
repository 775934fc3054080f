"""Models that can't work, as data: what is wrong, the manifest, and the words that a person must get."""

from typing import Any

from support.manifests import a_model

Bad = tuple[str, dict[str, Any], str]

URI = "with one of these schemes: file:///path, pvc://claim/path (the claim's name in lower case), http://, https://"

MODELS: list[Bad] = [
    ("no family", a_model(family=None), "spec.family: Required value"),
    ("no artifact", a_model(artifact=None), "spec.artifact: Required value"),
    ("no digest", a_model(artifact={"format": "ONNX", "uri": "s3://a/b"}), "spec.artifact.digest: Required value"),
    ("short digest", a_model(artifact__digest="sha256:abc"), "must be sha256: and 64 lower-case hexadecimal digits"),
    ("digest in capitals", a_model(artifact__digest="sha256:" + "A" * 64), "64 lower-case hexadecimal digits"),
    ("bare digest", a_model(artifact__digest="a" * 64), "the first word that `sha256sum FILE` prints"),
    ("another format", a_model(artifact__format="PyTorch"), 'supported values: "ONNX"'),
    ("relative path", a_model(artifact__uri="model.onnx"), URI),
    ("relative file URI", a_model(artifact__uri="file://model.onnx"), URI),
    ("unknown scheme", a_model(artifact__uri="ftp://host/model.onnx"), URI),
    ("URI without host", a_model(artifact__uri="s3:///model.onnx"), URI),
    ("claim without a path", a_model(artifact__uri="pvc://models"), URI),
    ("claim in capitals", a_model(artifact__uri="pvc://Models/model.onnx"), URI),
    ("claim of dots", a_model(artifact__uri="pvc://a..b/model.onnx"), URI),
    ("claim going upwards", a_model(artifact__uri="pvc://models/../model.onnx"), "must not contain '..' segments"),
    ("URI with a space", a_model(artifact__uri="s3://models/my model.onnx"), "without spaces"),
    ("password in URI", a_model(artifact__uri="https://me:secret@host/m.onnx"), "put credentials into a Secret"),
    ("URI going upwards", a_model(artifact__uri="file:///models/../etc/passwd"), "must not contain '..' segments"),
    ("long URI", a_model(artifact__uri="s3://models/" + "a" * 1100), "may not be more than 1024 bytes"),
    ("bad secret name", a_model(artifact__credentialsSecretRef={"name": "S3"}), "must be lower-case letters, digits"),
    ("baseline without digest", a_model(baseline={"uri": "s3://a/b"}), "spec.baseline.digest: Required value"),
    ("family in capitals", a_model(family="Churn"), "must be lower-case letters, digits and '-'"),
    ("version as a number", a_model(version=3), "spec.version"),
    ("regression without tolerance", a_model(task={"type": "Regression", "label": "label"}), "needs errorTolerance"),
    ("tolerance of a classification", a_model(task__errorTolerance="1"), "errorTolerance is for type Regression"),
    (
        "score of a regression",
        a_model(task={"type": "Regression", "label": "label", "score": "probabilities", "errorTolerance": "1"}),
        "score is for type Classification: remove it",
    ),
    ("unknown task", a_model(task__type="Ranking"), 'supported values: "Classification", "Regression"'),
    ("label that is no output", a_model(task__label="answer"), "task.label names no output of the signature"),
    ("score that is no output", a_model(task__score="odds"), "task.score names no output of the signature"),
    (
        "unknown datatype",
        a_model(signature__inputs=[{"name": "x", "datatype": "FLOAT", "shape": [-1]}]),
        'supported values: "BOOL"',
    ),
    (
        "negative dimension",
        a_model(signature__inputs=[{"name": "x", "datatype": "FP32", "shape": [-2]}]),
        "should be greater than or equal to -1",
    ),
    ("no outputs", a_model(signature__outputs=[], task=None), "should have at least 1 items"),
    (
        "one tensor twice",
        a_model(signature__inputs=[{"name": "x", "datatype": "FP32", "shape": [-1]}] * 2),
        "Duplicate value",
    ),
    (
        "metric that is no number",
        a_model(metrics=[{"name": "accuracy", "value": "good", "dataset": "holdout"}]),
        'must be a decimal such as "0.942"',
    ),
    (
        "one metric twice",
        a_model(metrics=[{"name": "accuracy", "value": "0.9", "dataset": "holdout"}] * 2),
        "Duplicate value",
    ),
    ("build time in words", a_model(lineage={"builtAt": "yesterday"}), "spec.lineage.builtAt"),
    ("long name", a_model(metadata__name="a" * 64), "at most 63 lower-case letters, digits and '-', no dots"),
    ("dots in the name", a_model(metadata__name="churn.1"), "a Model's name becomes part of Service names"),
]
