"""Coverage-guided fuzzing of everything that reads bytes of others: `fuzz.py TARGET [options of libFuzzer] [CORPUS]`.

A target may refuse its input by the errors that it promises; any other exception, 10 s, or 2 GiB of memory is a find.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["kingmaker", "kingmaker_serving"]):
    from kingmaker.adapters.exposition import ExpositionReader, UnreadableError
    from kingmaker.core.counts.baseline import parse_baseline
    from kingmaker.core.counts.baseline import read_baseline as read_reference
    from kingmaker.core.counts.storage import load_ledger
    from kingmaker.core.retraining.result import InvalidResultError, parse_result
    from kingmaker_serving.counts.baseline import read_baseline
    from kingmaker_serving.engine.modelsfile import read_models
    from kingmaker_serving.engine.settings import Limits
    from kingmaker_serving.errors import NOT_JSON, ServingError, VerbError
    from kingmaker_serving.grpc.codec import read_request
    from kingmaker_serving.grpc.http2.errors import ConnectionFault
    from kingmaker_serving.grpc.http2.hpack import Decoder
    from kingmaker_serving.grpc.messages import ModelInferRequest, parse
    from kingmaker_serving.grpc.packing import unpack as unpack_message
    from kingmaker_serving.labels import ids, targets
    from kingmaker_serving.labels import messages as labels
    from kingmaker_serving.models.artifact import read_manifest
    from kingmaker_serving.models.onnxfile import inspect
    from kingmaker_serving.protocol.compression import unpack
    from kingmaker_serving.protocol.rest import RestCodec
    from kingmaker_serving.protocol.signature import Signature, TensorSpec

LIMIT = 100_000
SIGNATURE = Signature(
    inputs=(
        TensorSpec("a", "FP32", (-1, 3)),
        TensorSpec("b", "BYTES", (-1,)),
        TensorSpec("c", "INT64", (-1, -1)),
        TensorSpec("d", "FP16", (2,)),
        TensorSpec("e", "BOOL", (1,)),
    ),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
)
CODEC = RestCodec(SIGNATURE, max_bytes=LIMIT)
ONE = Signature((TensorSpec("features", "FP32", (-1, 3)),), SIGNATURE.outputs)
"""Requests for a model like this are read by a way of their own."""
PLAIN = RestCodec(ONE, max_bytes=LIMIT)


REFERENCE = parse_baseline(
    json.loads(Path(__file__).with_name("baseline.json").read_text()), digest="sha256:" + "1" * 64
)


def rest(data: bytes) -> None:
    check(CODEC.read(data).inputs, SIGNATURE)


def plain(data: bytes) -> None:
    check(PLAIN.read(data).inputs, ONE)


def binary(data: bytes) -> None:
    """The first two bytes say where the JSON ends."""
    check(PLAIN.read(data[2:], int.from_bytes(data[:2], "little")).inputs, ONE)


def call(data: bytes) -> None:
    message = parse(ModelInferRequest, data)
    for signature in (SIGNATURE, ONE):
        check(read_request(message, signature, max_bytes=LIMIT).inputs, signature)


def check(inputs: Mapping[str, np.ndarray], signature: Signature) -> None:
    """What is read is within the limit, and as the signature has it."""
    assert sum(array.nbytes for array in inputs.values()) <= LIMIT
    for name, array in inputs.items():
        shape = signature.input_specs[name].shape
        assert array.ndim == len(shape)
        assert all(wanted in (-1, found) for wanted, found in zip(shape, array.shape, strict=True))


def packed(data: bytes) -> None:
    for encoding in (b"gzip", b"deflate"):
        assert len(unpack(data, encoding, LIMIT)) <= LIMIT


def packed_call(data: bytes) -> None:
    for encoding in (b"gzip", b"deflate"):
        assert len(unpack_message(data, encoding, max_bytes=LIMIT)) <= LIMIT


def headers(data: bytes) -> None:
    decoder = Decoder(list_bytes=65_536)
    for begin in range(0, len(data), 64):
        decoder.decode(data[begin : begin + 64])


def batch(data: bytes) -> None:
    for kind in ("application/json", "application/x-ndjson"):
        for document in labels.split(data, kind) or [data]:
            try:
                labels.read_labels(document)
            except ServingError:
                continue


def passed(data: bytes) -> None:
    for read in (labels.read_passed, labels.read_asked, labels.read_results, labels.read_found):
        try:
            read(data)
        except (ServingError, *NOT_JSON):
            continue


def sealed(data: bytes) -> None:
    """What is inside of an id, as if its key had leaked."""
    for has_bucket in (False, True):
        ids._parse(bytes(12), data, has_bucket=has_bucket)
    ids.looks_like_an_id(data.decode("latin-1"))


def targets_file(data: bytes) -> None:
    targets._read(data, None)


def baseline(data: bytes) -> None:
    read_baseline(data, SIGNATURE)


def reference(data: bytes) -> None:
    read_reference(data, digest=f"sha256:{hashlib.sha256(data).hexdigest()}")


def manifest(data: bytes) -> None:
    read_manifest(data)


def models(data: bytes) -> None:
    read_models(data, Path("/nowhere"), Limits())


def onnx(data: bytes) -> None:
    inspect(data)


def scrape(data: bytes) -> None:
    """Nothing that a pod says is counted beyond belief, or below 0."""
    read = ExpositionReader().read("uid", data, {REFERENCE.digest: REFERENCE}).counts
    assert read.cells is None or (read.cells >= 0).all()
    for counts in read.by_decision.values():
        assert min(counts.arm.answered, counts.arm.errors, *counts.arm.latency) >= 0


def receipt(data: bytes) -> None:
    parse_result(data.decode("utf-8", "replace"))


def ledger(data: bytes) -> None:
    load_ledger(data.decode("utf-8", "replace"))


TARGETS: Mapping[str, tuple[Callable[[bytes], Any], tuple[type[Exception], ...]]] = {
    "rest": (rest, (ServingError,)),
    "plain": (plain, (ServingError,)),
    "binary": (binary, (ServingError,)),
    "grpc": (call, (ServingError,)),
    "packed": (packed, (ServingError,)),
    "packed-call": (packed_call, (ServingError,)),
    "hpack": (headers, (ConnectionFault,)),
    "labels": (batch, (ServingError,)),
    "passed-labels": (passed, ()),
    "ids": (sealed, ()),
    "targets": (targets_file, ()),
    "baseline": (baseline, (VerbError,)),
    "reference": (reference, (ValueError,)),
    "manifest": (manifest, (VerbError,)),
    "models": (models, (VerbError,)),
    "onnxfile": (onnx, (VerbError,)),
    "profile": (scrape, (UnreadableError,)),
    "result": (receipt, (InvalidResultError,)),
    "ledger": (ledger, (ValueError,)),
}
"""By name, what reads bytes, and the errors by which it may refuse them."""


def main() -> None:
    """Fuzz one target."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of: {', '.join(TARGETS)}")
    read, refusals = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        try:
            read(data)
        except refusals:
            return

    atheris.Setup([*sys.argv, "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
