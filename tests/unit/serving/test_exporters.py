"""Models as exporters write them by default, served through session and codec: the libraries' own answers come out.

`tests/programs/exporters/export.py` made the files.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.client import read_reply, write_request
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import NUMPY
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest
from support.locales import with_locale

FILES = Path(__file__).parents[2] / "data" / "exporters"
CASES = sorted(path.stem for path in FILES.glob("*.onnx"))
CLASSES = {"two": (0, 1), "three": (0, 1, 2), "named": ("high", "low", "medium")}
LIMIT = 2**24
WITHOUT_NAMES = "xgboost"
"""It ends without ZipMap."""
TOLERANCE = {"FP16": 5e-3}
"""Where it is not 1e-4: halves are added up in another order."""


def array_of(tensor: dict[str, Any], datatype: str) -> np.ndarray:
    return np.array(tensor["data"], dtype=NUMPY[datatype]).reshape(tensor["shape"])


def load(name: str) -> tuple[ModelSession, dict[str, np.ndarray], list[dict[str, Any]]]:
    """A case's session, its inputs and its answers."""
    session = ModelSession((FILES / f"{name}.onnx").read_bytes())
    document = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    inputs = {
        key: array_of(tensor, session.signature.input_specs[key].datatype) for key, tensor in document["inputs"].items()
    }
    return session, inputs, document["outputs"]


def ask(session: ModelSession, codec: RestCodec, request: InferenceRequest) -> dict[str, np.ndarray]:
    """Do what the server does."""
    outputs = session.run(request.inputs, [], Stop()).outputs
    datatypes = {spec.name: spec.datatype for spec in session.signature.outputs}
    body, length = codec.write(InferenceReply("m", "1", "id", outputs, datatypes), request, max_bytes=LIMIT)
    return read_reply(body, length, max_bytes=LIMIT)


def in_bytes(session: ModelSession, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    codec = RestCodec(session.signature)
    return ask(
        session, codec, codec.read(*write_request(inputs, {s.name: s.datatype for s in session.signature.inputs}))
    )


def in_json(session: ModelSession, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    codec = RestCodec(session.signature)
    specs = session.signature.input_specs
    tensors = [
        {"name": name, "datatype": specs[name].datatype, "shape": array.shape, "data": array.tolist()}
        for name, array in inputs.items()
    ]
    return ask(session, codec, codec.read(json.dumps({"inputs": tensors}).encode()))


def check(session: ModelSession, found: dict[str, np.ndarray], expected: list[dict[str, Any] | None]) -> None:
    assert len(found) >= len(expected)
    for spec, tensor in zip(session.signature.outputs, expected, strict=False):
        if tensor is None:
            continue
        given = found[spec.name]
        if spec.datatype == "BYTES":
            assert given.ravel().tolist() == tensor["data"], spec.name
            continue
        wanted = np.array(tensor["data"], np.float64).reshape(tensor["shape"])
        close = TOLERANCE.get(spec.datatype, 1e-4)
        assert given.shape == wanted.shape, spec.name
        np.testing.assert_allclose(given.astype(np.float64), wanted, rtol=close, atol=close, err_msg=spec.name)


@pytest.mark.parametrize("name", CASES)
def test_the_librarys_own_answers_come_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_locale(monkeypatch, tmp_path)
    session, inputs, expected = load(name)
    check(session, in_bytes(session, inputs), expected)
    if not any(s.datatype == "FP16" for s in (*session.signature.inputs, *session.signature.outputs)):
        check(session, in_json(session, inputs), expected)


def test_there_are_cases_of_every_exporter() -> None:
    families = {name.split("-")[0] for name in CASES}
    assert families == {"sklearn", "lightgbm", "xgboost", "catboost", "pytorch"}
    assert len(CASES) >= 75


@pytest.mark.parametrize("name", [n for n in CASES if n.split("-")[-1] in CLASSES and not n.startswith(WITHOUT_NAMES)])
def test_probabilities_are_a_matrix_with_named_classes(name: str) -> None:
    session = load(name)[0]
    label, scores = session.signature.outputs
    classes = CLASSES[name.rpartition("-")[2]]
    assert (scores.datatype, scores.shape, scores.classes) == ("FP32", (-1, len(classes)), classes)
    assert label.datatype == ("BYTES" if "named" in name else "INT64")
