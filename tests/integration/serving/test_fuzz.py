"""Atheris on everything that reads bytes of others, for a few seconds each: `fuzz.py` goes on for longer by hand."""

import gzip
import json
import os
import platform
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kingmaker_serving.grpc.http2.hpack import encode
from support.atherisprogram import FOLDER, fuzz
from support.grpcclient import a_message
from support.onnx_models import a_classifier
from support.requests import a_request

# Its wheels are for Linux, and each is for one Python.
pytestmark = [
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="its environment is locked for Python 3.11"),
    pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="no wheel for this machine"),
]

SECONDS = int(os.environ.get("FUZZ_SECONDS", "3"))
"""Per target. `make fuzz` takes minutes."""
RUNS = 30_000 if SECONDS < 60 else -1
DIGEST = "sha256:" + "0" * 64
ROWS = [[1.5, -2.0, 3e10]]
TENSORS = [
    {"name": "a", "datatype": "FP32", "shape": [1, 3], "data": [1, None, "Infinity"]},
    {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["x", "ü\\u0000"]},
    {"name": "c", "datatype": "INT64", "shape": [1, 2], "data": [[9223372036854775807, -1]]},
    {"name": "d", "datatype": "FP16", "shape": [2], "parameters": {"binary_data_size": 4}},
    {"name": "e", "datatype": "BOOL", "shape": [1], "data": [True]},
]
REQUEST = {"id": "me", "parameters": {"x": 1.5}, "inputs": TENSORS, "outputs": [{"name": "label"}]}
LABELS = {"id": "A" * 80, "labels": [1, "one", 0.5, None, True]}
TASK = {"type": "Classification", "label": "label"}
MANIFEST = {"path": "model.onnx", "digest": DIGEST, "size": 12}
ENTRY = {"name": "churn", "version": "churn-2", "folder": "churn-2", "digest": DIGEST, "task": TASK}
RESULT = {"artifact": {"uri": "s3://b/k", "digest": DIGEST}, "metrics": [{"name": "accuracy", "value": "0.9"}]}
WHO = f'model="churn-1",model_digest="{DIGEST}",baseline_digest="sha256:{"1" * 64}",pod="p"'
PROFILE = f"""kingmaker_profile_info{{{WHO}}} 1
kingmaker_profile_start_time_seconds 1764000000.123
kingmaker_profile_requests_total{{decision="3",outcome="ok"}} 5
kingmaker_profile_latency_total{{decision="3",le="0.001"}} 5
kingmaker_profile_feedback_total{{model="churn-1",digest="{"0" * 16}",decision="3",outcome="wrong"}} 2
kingmaker_profile_shadow_pairs_total{{challenger="churn-2",decision="3",result="agree"}} 7
kingmaker_profile_feature_total{{feature="a",cell="0"}} 7
"""


def a_json(value: object) -> bytes:
    return json.dumps(value).encode()


def in_binary() -> bytes:
    size = {"parameters": {"binary_data_size": 12}}
    head = a_json({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], **size}]})
    return len(head).to_bytes(2, "little") + head + np.array(ROWS, np.float32).tobytes()


def calls() -> Sequence[bytes]:
    return [a_message(ROWS, typed=typed).SerializeToString() for typed in (False, True)]


def a_baseline() -> bytes:
    return (FOLDER / "baseline.json").read_bytes()


SEEDS = {
    "rest": lambda: [a_json(REQUEST)],
    "plain": lambda: [a_json(a_request(ROWS))],
    "binary": lambda: [in_binary()],
    "grpc": calls,
    "packed": lambda: [gzip.compress(b"x" * 500), zlib.compress(b"x" * 500)],
    "packed-call": lambda: [gzip.compress(b"x" * 500), zlib.compress(b"x" * 500)],
    "hpack": lambda: [encode([(b":method", b"POST"), (b"te", b"trailers"), (b"x", b"y" * 50)])],
    "labels": lambda: [a_json(LABELS), a_json([LABELS]), a_json(LABELS) + b"\n" + a_json(LABELS)],
    "passed-labels": lambda: [a_json([LABELS]), a_json({"ids": ["a"]}), a_json([{"matched": 1}])],
    "ids": lambda: [bytes(40), b"\x01" * 60],
    "targets": lambda: [a_json({"decision": 1, "champion": "a", "targets": [], "peers": {"a": ["10.0.0.1"]}})],
    "baseline": lambda: [a_baseline()],
    "reference": lambda: [a_baseline()],
    "manifest": lambda: [a_json({"format": "kingmaker.dev/artifact/v1", "files": [MANIFEST]})],
    "models": lambda: [a_json({"format": "kingmaker.dev/models/v1", "models": [ENTRY]})],
    "onnxfile": lambda: [a_classifier(seed=1)[0]],
    "profile": lambda: [PROFILE.encode()],
    "result": lambda: [a_json(RESULT)],
    "ledger": lambda: [a_json({"format": "kingmaker.dev/ledger/v2", "ledger": {"totals": {}}})],
}


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("target", SEEDS)
def test_nothing_but_refusals(target: str, tmp_path: Path) -> None:
    done = fuzz(target, SEEDS[target](), tmp_path, seconds=SECONDS, runs=RUNS)
    found = {path.name: path.read_bytes()[:300] for path in tmp_path.iterdir() if path.is_file()}
    assert (done.returncode, found) == (0, {}), done.stderr[-3000:]
    assert "INITED" in done.stderr, done.stderr[-3000:]
