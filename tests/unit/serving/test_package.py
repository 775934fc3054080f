"""Packaging: an ONNX file and its training rows become a Model."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.api import Model
from kingmaker.core.counts.baseline import read_baseline as read_as_operator
from kingmaker.core.counts.cells import CellCounts, widths_of
from kingmaker.core.counts.labelled import LossCell
from kingmaker.core.counts.process import Arm, start_of
from kingmaker_serving.counts.baseline import read_baseline
from kingmaker_serving.counts.labelled import Seen
from kingmaker_serving.digest import sha256
from kingmaker_serving.engine.pace import UNKNOWN
from kingmaker_serving.engine.served import ServedModel
from kingmaker_serving.engine.settings import ModelSettings
from kingmaker_serving.engine.watch import Watch
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.labels.keys import Keys
from kingmaker_serving.models.examples import read_examples, run_examples
from kingmaker_serving.models.loading import Digests, load_model
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.package.bundle import PackageResult, package
from kingmaker_serving.protocol.signature import Task, TaskType
from support.onnx_models import a_classifier, a_model, adding, echo, moved_out, regression, two_inputs

NAMES = ["age", "income", "visits"]


class Frame(dict[str, Any]):
    """What a data frame has in common with all others: `columns` and `[name]`."""

    @property
    def columns(self) -> list[str]:
        return list(self)


@pytest.fixture(scope="module")
def classifier() -> tuple[bytes, np.ndarray, np.ndarray]:
    return a_classifier(seed=3)


def packaged(out: Path, **fields: Any) -> PackageResult:
    return package(**({"name": "churn-2", "family": "churn", "version": "2", "out": out} | fields))


def a_package(out: Path, classifier: tuple[bytes, np.ndarray, np.ndarray], **fields: Any) -> PackageResult:
    onnx, rows, labels = classifier
    return packaged(out, onnx=onnx, rows=rows, labels=labels, feature_names=NAMES, **fields)


def test_the_manifest_is_a_model_that_the_operator_reads(tmp_path: Path, classifier: Any) -> None:
    made = a_package(
        tmp_path,
        classifier,
        uri_prefix="s3://models/churn/2/",
        metrics={"accuracy": 0.94},
        parent="churn-1",
        framework="scikit-learn 1.7",
        training_data=[{"uri": "s3://data/train.csv", "rows": 400}],
        built_by='ci "nightly": #7',
    )
    model = Model.model_validate(yaml.safe_load(made.manifest))
    assert (tmp_path / "model.yaml").read_text() == made.manifest
    assert model.spec.artifact.uri == "s3://models/churn/2/model.onnx"
    assert model.spec.artifact.digest == sha256((tmp_path / "model.onnx").read_bytes())
    assert model.spec.task is not None
    assert (model.spec.task.type, model.spec.task.label, model.spec.task.score) == (
        "Classification", "label", "probabilities")  # fmt: skip
    assert [(m.name, m.value, m.dataset) for m in model.spec.metrics] == [("accuracy", "0.94", "holdout")]
    lineage = model.spec.lineage
    assert lineage is not None
    assert (lineage.built_by, lineage.framework) == ('ci "nightly": #7', "scikit-learn 1.7")
    assert lineage.parent_ref is not None
    assert lineage.parent_ref.name == "churn-1"


def test_the_report_is_what_a_retraining_job_says(tmp_path: Path, classifier: Any) -> None:
    report = a_package(tmp_path, classifier).report
    assert report["artifact"] == {
        "uri": f"file://{tmp_path}/model.onnx",
        "digest": sha256((tmp_path / "model.onnx").read_bytes()),
    }
    assert set(report) == {"artifact", "baseline", "examples", "task", "framework"}
    assert len(msgspec.json.encode(report)) < 4096


def test_operator_and_server_read_the_same_baseline(tmp_path: Path, classifier: Any) -> None:
    a_package(tmp_path, classifier)
    content = (tmp_path / "baseline.json").read_bytes()
    ours = read_baseline(content, ModelSession(classifier[0]).signature)
    theirs = read_as_operator(content, digest=ours.digest)
    columns = [*ours.document.features, ours.document.prediction, ours.document.score]
    assert [feature.name for feature in theirs.features] == NAMES
    for left, right in zip(columns, theirs.columns, strict=True):
        assert left is not None
        assert [(cell.name, cell.count, cell.rare) for cell in left.cells] == [
            (cell.name, cell.count, cell.rare) for cell in right.cells
        ]
        assert right.rows == 400


async def test_the_operator_parses_every_count_of_a_server(tmp_path: Path, classifier: Any) -> None:
    report = a_package(tmp_path, classifier).report
    digests = Digests(*(report[part]["digest"] for part in ("artifact", "baseline", "examples")))
    loaded = load_model(tmp_path, digests, task=Task(TaskType.CLASSIFICATION, "label", "probabilities"))
    settings = ModelSettings(tmp_path, digests, "churn", "churn-2")
    service = ServedModel(
        settings, loaded, UNKNOWN, watch=Watch(), keys=Keys(None), pod="pod", address="10.0.0.1", started=1.0
    )
    rows = classifier[1]
    service.profile.count_cells({"features": rows}, loaded.session.run({"features": rows}, [], Stop()).outputs)
    labels = service.profile.labels
    right, wrong = Seen([True], "0", "a", "a", is_right=True), Seen([False, True], "0.5", error=1.5)
    for model, start, seen in (("churn-2", start_of(settings.digests.model), right), ("rival", "0" * 16, wrong)):
        labels.count(labels.key(model, start, 3), seen, cell=2, age_seconds=5)
    labels.count_pair("rival", 3, right, right)
    labels.count_pair("rival", 3, wrong, wrong)
    digest = report["baseline"]["digest"]
    baseline = read_as_operator((tmp_path / "baseline.json").read_bytes(), digest=digest)
    read = ExpositionReader().read("uid", service.profile.render(), {digest: baseline})
    assert read.counts.baseline_digest == digest
    assert not read.dropped
    assert (read.counts.by_decision[3].arm.correct, read.counts.by_decision[3].arm.judged[0]) == (1, 1)
    assert read.counts.by_decision[3].shadows["rival"].both_correct == 2
    assert read.counts.others["0" * 16][3].arm == Arm(
        correct=1, wrong=1, judged=(0, 0, 0, 0, 1, 0, 0, 0, 0), losses={LossCell("over", "k2"): 1}
    )
    assert read.counts.cells is not None
    cells = CellCounts(read.counts.cells, widths_of(baseline))
    assert [int(column.sum()) for column in cells.columns][:4] == [400] * 4


def test_the_examples_pass_on_the_model_they_were_made_with(tmp_path: Path, classifier: Any) -> None:
    a_package(tmp_path, classifier, examples=7)
    examples = read_examples((tmp_path / "examples.json").read_bytes())
    assert len(run_examples(ModelSession(classifier[0]), examples)) == 7
    with pytest.raises(VerbError) as caught:
        run_examples(ModelSession(a_classifier(seed=3, flipped=True)[0]), examples)
    assert caught.value.reason is Reason.EXAMPLE_MISMATCH
    assert "example 0, output 'label': element 0 is" in caught.value.message


def test_rows_may_be_an_array_a_mapping_or_a_frame(tmp_path: Path, classifier: Any) -> None:
    onnx, rows, labels = classifier
    columns = dict(zip(NAMES, rows.T, strict=True))
    forms = [
        {"rows": rows, "feature_names": NAMES},
        {"rows": columns},
        {"rows": Frame(columns)},
        {"rows": Frame(columns | {"comment": np.array(["x"] * 400)}), "feature_names": NAMES},
        {"rows": {"features": rows}, "feature_names": NAMES},
    ]
    digests = {
        packaged(tmp_path / str(i), onnx=onnx, labels=labels, **form).report["baseline"]["digest"]
        for i, form in enumerate(forms)
    }
    assert len(digests) == 1


def test_several_inputs_are_packaged_by_name(tmp_path: Path) -> None:
    rows = {
        "a": np.arange(100.0),
        "b": np.arange(100.0),
        "t": np.array(["x", "y"] * 50, dtype=object),
    }
    packaged(tmp_path, onnx=two_inputs(), rows=rows)
    baseline = read_baseline((tmp_path / "baseline.json").read_bytes(), ModelSession(two_inputs()).signature)
    shown = [(f.name, f.input, f.kind.value) for f in baseline.document.features]
    assert shown == [("a", "a", "Numeric"), ("b", "b", "Numeric"), ("t", "t", "Categorical")]
    assert baseline.document.prediction is None


def test_a_regression_counts_errors_over_its_tolerance(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    labels = rows.sum(axis=1)
    labels[:50] += 1
    task = {"type": "Regression", "label": "price", "errorTolerance": "0.5"}
    packaged(tmp_path, onnx=regression(), rows=rows, labels=labels, task=task)
    baseline = read_baseline((tmp_path / "baseline.json").read_bytes(), ModelSession(regression()).signature)
    prediction = baseline.document.prediction
    assert prediction is not None
    assert prediction.kind.value == "Numeric"
    assert sum(cell.wrong or 0 for cell in prediction.cells) == 50


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rows": np.zeros((5, 4), np.float32)}, "has shape [5, 4], but the model takes x FP32 [-1, 3]"),
        ({"rows": np.zeros((5, 3)), "feature_names": ["a"]}, "1 feature names for the 3 columns"),
        ({"rows": {"a": np.zeros(3)}}, "but the model takes x FP32 [-1, 3]"),
        ({"rows": "rows"}, "rows are a str"),
        ({"rows": np.zeros((5, 3)), "task": {"type": "Classification", "label": "z"}}, "task.label is 'z'"),
        ({"rows": np.zeros((5, 3)), "task": {"type": "Guess", "label": "y"}}, "can't be read"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(VerbError) as caught:
        packaged(tmp_path, onnx=adding(), **fields)
    assert words in caught.value.message


def test_integers_and_text_survive(tmp_path: Path) -> None:
    packaged(tmp_path, onnx=echo(TensorProto.STRING, shape=["n", 2]), rows=np.array([["a", "b"], ["c", None]], object))
    examples = msgspec.json.decode((tmp_path / "examples.json").read_bytes())
    assert examples["examples"][1]["inputs"][0]["data"] == ["c", ""]


def test_a_model_with_external_data_is_packaged_with_a_manifest_of_its_files(tmp_path: Path) -> None:
    source = moved_out(adding(2.0), tmp_path / "exported", name="below.data")
    made = packaged(tmp_path / "out", onnx=source, rows=np.zeros((5, 3)), uri_prefix="s3://models/2")
    out = tmp_path / "out"
    digest = sha256((out / "manifest.json").read_bytes())
    assert made.report["artifact"] == {"uri": "s3://models/2/manifest.json", "digest": digest}
    assert sorted(path.name for path in out.iterdir()) == [
        "baseline.json", "below.data", "examples.json", "manifest.json", "model.onnx", "model.yaml"]  # fmt: skip
    loaded = load_model(out, Digests(digest), task=None)
    feeds = {"x": np.ones((1, 3), np.float32)}
    assert loaded.session.run(feeds, [], Stop()).outputs["y"].tolist() == [[3, 3, 3]]
    assert loaded.size_bytes == (out / "model.onnx").stat().st_size + (out / "below.data").stat().st_size


def test_external_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    source = moved_out(adding(), tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(
        VerbError, match=r"external data in 'weights\.bin', which can't be read beside it: No such file"
    ):
        packaged(tmp_path / "out", onnx=source, rows=np.zeros((5, 3)))
    with pytest.raises(VerbError, match="did not come with it"):
        packaged(tmp_path / "out", onnx=source.read_bytes(), rows=np.zeros((5, 3)))


def test_a_model_that_takes_a_fixed_number_of_rows_is_asked_for_as_many(tmp_path: Path) -> None:
    onnx = echo(TensorProto.FLOAT, shape=[2, 3])
    task = {"type": "Regression", "label": "y", "errorTolerance": "0.5"}
    packaged(tmp_path, onnx=onnx, rows=np.arange(30).reshape(10, 3), examples=2, task=task)
    examples = msgspec.json.decode((tmp_path / "examples.json").read_bytes())["examples"]
    assert [example["inputs"][0]["data"] for example in examples] == [list(range(6)), list(range(24, 30))]
    with pytest.raises(VerbError, match="has shape"):
        packaged(tmp_path, onnx=onnx, rows=np.arange(27).reshape(9, 3))


def test_inputs_that_may_be_left_out_are_left_out(tmp_path: Path) -> None:
    amount = numpy_helper.from_array(np.array([1], np.float32), "amount")
    inputs = [("x", TensorProto.FLOAT, ["n"]), ("amount", TensorProto.FLOAT, [1])]
    model = a_model([helper.make_node("Add", ["x", "amount"], ["y"])], inputs, [("y", TensorProto.FLOAT, ["n"])],
                    initializers=[amount])  # fmt: skip
    packaged(tmp_path, onnx=model.SerializeToString(), rows=np.arange(20.0))
    examples = msgspec.json.decode((tmp_path / "examples.json").read_bytes())["examples"]
    assert [tensor["name"] for tensor in examples[0]["inputs"]] == ["x"]
