"""ONNX's backend cases by way of the protocol: whatever ONNX Runtime answers is answered, and equal to the last bit.

Each case that ONNX Runtime runs by its own Python is asked again through a request and a reply, as bytes by
tritonclient and as JSON: codec, session, codec, as the server does it, in this process. There are no exceptions. Cases
of BF16, which its Python can't run, are held against what ONNX says of them.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput

from kingmaker_serving.errors import VerbError
from kingmaker_serving.models.session import ModelSession, Stop
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.values import InferenceReply, InferenceRequest
from support.locales import with_locale
from support.onnx_cases import KINDS, Case, ask_onnx_runtime, cases

LIMIT = 2**30
HALVES = {"FP16", "BF16"}


def tensors_of(session: ModelSession, inputs: list[Any]) -> dict[str, np.ndarray]:
    """Give a case's inputs as the tensors of a request: a list of arrays takes two of them (borders.md, section 3)."""
    specs = list(session.signature.inputs)
    found: dict[str, np.ndarray] = {}
    for value in inputs:
        spec = specs.pop(0)
        is_list = bool(specs) and specs[0].name == f"{spec.name}.shapes"
        if is_list:
            specs.pop(0)
        if value is None:
            continue
        if is_list:
            rank = max((array.ndim for array in value), default=0)
            found[f"{spec.name}.shapes"] = np.array(
                [[*array.shape, *[-1] * (rank - array.ndim)] for array in value], np.int64
            ).reshape(len(value), rank)
            value = np.concatenate([np.empty(0, value[0].dtype), *map(np.ravel, value)]) if value else np.empty(0, "f")  # noqa: PLW2901
        found[spec.name] = value
    return found


def answer(session: ModelSession, codec: RestCodec, request: InferenceRequest) -> tuple[bytes, int | None]:
    """Do what the server does."""
    outputs = session.run(request.inputs, [wanted.name for wanted in request.outputs], Stop()).outputs
    datatypes = {spec.name: spec.datatype for spec in session.signature.outputs}
    return codec.write(InferenceReply("m", "1", "id", outputs, datatypes), request, max_bytes=LIMIT)


def by_triton(session: ModelSession, codec: RestCodec, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ask in bytes, as tritonclient writes and reads them."""
    inputs = []
    for name, array in tensors.items():
        datatype = session.signature.input_specs[name].datatype
        given = InferInput(name, list(array.shape), datatype)
        given.set_data_from_numpy(array)
        inputs.append(given)
    if inputs:
        body, length = InferenceServerClient.generate_request_body(inputs)
    else:
        body, length = b'{"inputs": [], "parameters": {"binary_data_output": true}}', None
    written, header = answer(session, codec, codec.read(body, length))
    result = InferenceServerClient.parse_response_body(written, header_length=header)
    found = {}
    for output in result.get_response()["outputs"]:
        array = result.as_numpy(output["name"])
        found[output["name"]] = bits(array) if output["datatype"] == "BF16" else array
    return found


def by_json(session: ModelSession, codec: RestCodec, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ask in JSON, as Python's own module writes and reads it."""
    inputs = [
        {"name": name, "datatype": session.signature.input_specs[name].datatype, "shape": array.shape,
         "data": array.tolist() if array.ndim else [array.item()]}
        for name, array in tensors.items()
    ]  # fmt: skip
    written, _ = answer(session, codec, codec.read(json.dumps({"inputs": inputs}).encode()))
    found = {}
    for output in json.loads(written)["outputs"]:
        dtype = DTYPES[output["datatype"]]
        values = [float(v) if dtype.kind == "f" and v is not None else v for v in output["data"]]
        if dtype.kind == "f":
            values = [np.nan if value is None else value for value in values]
        found[output["name"]] = np.array(values, dtype=dtype).reshape(output["shape"])
    return found


DTYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
        "UINT64": "Q", "FP32": "f", "FP64": "d", "BYTES": "O",
    }.items()
}  # fmt: skip


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint16)


def differs(expected: Mapping[str, Any], found: Mapping[str, np.ndarray]) -> str:
    """Say where an answer is not ONNX Runtime's own."""
    left = set(found)
    for name, value in expected.items():
        if value is None:
            continue
        wanted = {name: value}
        if isinstance(value, list) and f"{name}.shapes" not in found:
            wanted = {f"{name}.{index}": part for index, part in enumerate(value)}
        elif isinstance(value, list):
            ends = np.cumsum([0, *(part.size for part in value)])
            shapes = [[size for size in row if size != -1] for row in found[f"{name}.shapes"].tolist()]
            if shapes != [list(part.shape) for part in value] or ends[-1] != found[name].size:
                return f"{name} has shapes {shapes}"
            left.discard(f"{name}.shapes")
            if not all(same(part, found[name][a:b].reshape(part.shape))
                       for part, a, b in zip(value, ends, ends[1:], strict=False)):  # fmt: skip
                return name
            left.discard(name)
            continue
        for key, array in wanted.items():
            if key not in found or not same(array, found[key]):
                return key
            left.discard(key)
    return f"{left} were not asked for" if left else ""


def same(one: np.ndarray, other: np.ndarray) -> bool:
    one = np.asarray(one)
    if one.dtype.name == "bfloat16":
        one = bits(one)
    if one.shape != other.shape:
        return False
    if other.dtype == object:
        texts = [value.decode() if isinstance(value, bytes) else value for value in other.ravel().tolist()]
        return texts == one.ravel().tolist()
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def verdict(case: Case, expected: Mapping[str, Any]) -> str:
    """Say what is not as it should be; nothing when all is."""
    try:
        session = ModelSession(case.content)
    except VerbError as error:
        return error.message
    codec = RestCodec(session.signature, max_bytes=LIMIT)
    tensors = tensors_of(session, case.inputs)
    datatypes = {spec.datatype for spec in (*session.signature.inputs, *session.signature.outputs)}
    wrong = differs(expected, by_triton(session, codec, tensors))
    if not wrong and not datatypes & HALVES:
        wrong = differs(expected, by_json(session, codec, tensors))
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_what_onnx_runtime_answers_is_answered_equal(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_locale(monkeypatch, tmp_path)
    counted: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    for case in cases(kind):
        expected = ask_onnx_runtime(case)
        if isinstance(expected, str):
            counted["not run by ONNX Runtime"] += 1
            continue
        counted["run"] += 1
        try:
            found = verdict(case, expected)
        except Exception as error:  # noqa: BLE001  # it is what is wrong
            found = f"{type(error).__name__}: {error}"
        if found:
            wrong[case.name] = found
        else:
            counted["equal"] += 1
    with capsys.disabled():
        print(f"\n{kind}: {dict(counted)}, exceptions {len(wrong)}")
    assert not wrong, wrong


def test_cases_of_brain_floats_are_answered_as_onnx_says() -> None:
    names = set()
    for case in cases("node"):
        if not any(isinstance(value, np.ndarray) and value.dtype.name == "bfloat16" for value in case.inputs):
            continue
        try:
            session = ModelSession(case.content)
        except VerbError as error:
            assert "ONNX Runtime" in error.message  # noqa: PT017  # it has no operator of that type
            continue
        expected = {spec.name: value for spec, value in zip(session.signature.outputs, case.outputs, strict=True)}
        codec = RestCodec(session.signature, max_bytes=LIMIT)
        assert not differs(expected, by_triton(session, codec, tensors_of(session, case.inputs))), case.name
        names.add(case.name)
    assert len(names) >= 4, names
