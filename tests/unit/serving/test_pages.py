"""Answers that are no inference."""

import json

import pytest

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol import pages
from kingmaker_serving.protocol.pages import IndexEntry, ModelState
from kingmaker_serving.protocol.signature import Signature, TensorSpec


def test_the_server_says_what_it_can() -> None:
    assert json.loads(pages.write_server("1.2")) == {
        "name": "kingmaker-serving",
        "version": "1.2",
        "extensions": ["binary_tensor_data", "classification", "model_repository", "parameters"],
    }


def test_health_is_a_truth() -> None:
    assert json.loads(pages.write_live()) == {"live": True}
    assert json.loads(pages.write_ready(is_ready=False)) == {"ready": False}
    assert json.loads(pages.write_model_ready("churn", is_ready=True)) == {"name": "churn", "ready": True}


def test_a_model_names_its_tensors_and_classes() -> None:
    inputs = (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("mask", "BOOL", (), optional=True))
    outputs = (TensorSpec("p", "FP16", (-1, 2), classes=("no", "yes")),)
    assert json.loads(pages.write_model("churn", ["churn-1"], Signature(inputs, outputs))) == {
        "name": "churn",
        "versions": ["churn-1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "mask", "datatype": "BOOL", "shape": [], "parameters": {"optional": True}},
        ],
        "outputs": [{"name": "p", "datatype": "FP16", "shape": [-1, 2], "parameters": {"classes": ["no", "yes"]}}],
    }


def test_the_index_lists_models() -> None:
    entries = [
        IndexEntry("a", "a-1", ModelState.READY),
        IndexEntry("b", "b-1", ModelState.UNAVAILABLE, "DigestMismatch: sha256 differs"),
    ]
    ready = {"name": "a", "version": "a-1", "state": "READY", "reason": ""}
    broken = {"name": "b", "version": "b-1", "state": "UNAVAILABLE", "reason": "DigestMismatch: sha256 differs"}
    assert json.loads(pages.write_index(entries, ready_only=False)) == [ready, broken]
    assert json.loads(pages.write_index(entries, ready_only=True)) == [ready]


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", False), (b"{}", False), (b'{"ready": true}', True), (b'{"ready": false, "x": 1}', False)],
)
def test_a_request_for_the_index_may_be_empty(body: bytes, expected: bool) -> None:
    assert pages.read_index_request(body) is expected


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready": 1}', b"\xff", b"[" * 5000])
def test_a_request_for_the_index_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ServingError) as caught:
        pages.read_index_request(body)
    assert caught.value.code.status == 400


@pytest.mark.parametrize(
    "kind",
    [b"", b"application/json", b"Application/JSON; charset=utf-8", b"application/octet-stream",
     b"application/x-www-form-urlencoded"],
)  # fmt: skip
def test_these_types_are_read(kind: bytes) -> None:
    pages.check_media_type(kind)


def test_other_types_are_not() -> None:
    with pytest.raises(ServingError, match="content-type is 'text/xml'; send JSON as application/json") as caught:
        pages.check_media_type(b"text/xml")
    assert caught.value.code.status == 415
