"""Verification: every file that must not be served has a reason, also those that take the process down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from kingmaker_serving.package import package
from support.onnx_models import a_model, adding, endless, moved_out
from support.servers import Server, digests, run_verb

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


def verified(tmp_path: Path, *arguments: str, **files: bytes) -> tuple[int, Any, str]:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / {"model": "model.onnx"}.get(name, f"{name}.json")).write_bytes(content)
    return run_verb("verify", "--dir", str(folder), *digests(folder), *arguments, log=tmp_path / "log")


def examples(**fields: Any) -> bytes:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    y = {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [2, 3, 4]} | fields
    return json.dumps({"format": "kingmaker.dev/examples/v1", "examples": [{"inputs": [x], "outputs": [y]}]}).encode()


def greedy() -> bytes:
    """A hundred bytes that ask for a terabyte while loading or running."""
    shape = numpy_helper.from_array(np.array([2**38], dtype=np.int64), "shape")
    return a_model(
        [helper.make_node("ConstantOfShape", ["shape"], ["big"]), helper.make_node("Mul", ["big", "x"], ["y"])],
        [("x", TensorProto.FLOAT, [1])],
        [("y", TensorProto.FLOAT, [None])],
        initializers=[shape],
    ).SerializeToString()


def test_a_good_model_tells_what_it_is(tmp_path: Path) -> None:
    code, found, _ = verified(tmp_path, "--signature", json.dumps(SIGNATURE), model=adding(), examples=examples())
    assert code == 0
    assert found | {"digest": "", "sizeBytes": 0} == {
        "digest": "", "sizeBytes": 0, "opset": 18, "producer": "test 1", "examples": 1, **SIGNATURE}  # fmt: skip
    assert found["sizeBytes"] == len(adding())


ONE_EXAMPLE = json.dumps(
    {
        "format": "kingmaker.dev/examples/v1",
        "examples": [{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}], "outputs": []}],
    }
).encode()
WIDER = json.dumps(SIGNATURE | {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]})
RENAMED = json.dumps(SIGNATURE | {"outputs": [{"name": "z", "datatype": "FP32", "shape": [-1, 3]}]})
BAD: list[tuple[str, list[str], dict[str, bytes], str, str]] = [
    ("garbage", [], {"model": b"garbage"}, "InvalidModel", "is no ONNX model"),
    ("cut off", [], {"model": adding()[:-5]}, "InvalidModel", "is no ONNX model"),
    ("another shape", ["--signature", WIDER], {"model": adding()}, "SignatureMismatch", "is FP32 [-1, 3] in the file"),
    ("another output", ["--signature", RENAMED], {"model": adding()}, "SignatureMismatch", "output 'z' is not in"),
    ("no signature", ["--signature", "{"], {"model": adding()}, "SignatureMismatch", "can't be read"),
    ("no such label", ["--task", '{"type": "Classification", "label": "z"}'], {"model": adding()}, "SignatureMismatch",
     "task.label is 'z'"),
    ("no tolerance", ["--task", '{"type": "Regression", "label": "y"}'], {"model": adding()}, "SignatureMismatch",
     "errorTolerance"),
    ("a wrong answer", [], {"model": adding(2), "examples": examples()}, "ExampleMismatch",
     "example 0, output 'y': element 0 is 3.0, expected 2.0"),
    ("a wrong shape", [], {"model": adding(), "examples": examples(shape=[3, 1])}, "InvalidExamples", "dimension 1"),
    ("an unknown output", [], {"model": adding(), "examples": examples(name="z")}, "InvalidExamples", "output 'z'"),
    ("examples in no JSON", [], {"model": adding(), "examples": b"{"}, "InvalidExamples", "can't be read"),
    ("another format", [], {"model": adding(), "examples": b'{"format": "x", "examples": []}'}, "InvalidExamples", "x"),
    ("a baseline in no JSON", [], {"model": adding(), "baseline": b"{"}, "InvalidBaseline", "can't be read"),
    ("a baseline of another model", [], {"model": adding(), "baseline": json.dumps({
        "format": "kingmaker.dev/baseline/v1", "rows": 1, "features": [
            {"name": "f", "input": "z", "column": 0, "kind": "Numeric", "cells": []}]}).encode()},
     "InvalidBaseline", "reads tensor 'z'"),
    ("no end", ["--deadline", "3"], {"model": endless(), "examples": ONE_EXAMPLE}, "InvalidModel", "took over 3 s"),
    ("a terabyte", ["--memory-bytes", str(2 * 1024**3)], {"model": greedy(), "examples": ONE_EXAMPLE}, "InvalidModel",
     "memory"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "files", "reason", "words"), [case[1:] for case in BAD],
                         ids=[case[0] for case in BAD])  # fmt: skip
def test_a_model_that_must_not_be_served_has_a_reason(
    tmp_path: Path, arguments: list[str], files: dict[str, bytes], reason: str, words: str
) -> None:
    code, message, stderr = verified(tmp_path, *arguments, **files)
    assert code == 1, stderr
    assert message["reason"] == reason
    assert words in message["message"]
    assert len(json.dumps(message)) <= 4096


def test_a_model_of_several_files_is_verified_and_served(tmp_path: Path, serve: Callable[..., Server]) -> None:
    package(onnx=moved_out(adding(2.0), tmp_path / "exported"), rows=np.zeros((5, 3)), name="m", family="f",
            version="1", out=tmp_path / "model")  # fmt: skip
    folder = tmp_path / "model"
    code, found, stderr = run_verb("verify", "--dir", str(folder), *digests(folder), log=tmp_path / "log")
    assert code == 0, stderr
    assert found["sizeBytes"] == sum((folder / name).stat().st_size for name in ("model.onnx", "weights.bin"))
    x = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    assert serve(folder, task=None).infer({"inputs": [x]}).json["outputs"][0]["data"] == [3, 4, 5]
    (folder / "weights.bin").write_bytes(bytes((folder / "weights.bin").stat().st_size))
    code, message, _ = run_verb("verify", "--dir", str(folder), *digests(folder), log=tmp_path / "log")
    assert (code, message["reason"]) == (1, "DigestMismatch")
    assert "weights.bin has digest" in message["message"]
