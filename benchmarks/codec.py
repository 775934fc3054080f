"""What it costs to read a request and to write its answer: one row of 30 features, unless it says otherwise.

    python benchmarks/codec.py

Seconds of CPU, the least of several rounds, so that neighbours on the machine count little.
"""

import json
import time
import timeit
from collections.abc import Callable

import numpy as np

from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceReply

SIGNATURE = Signature(
    (TensorSpec("features", "FP32", (-1, 30)),),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))),
)
CODEC = RestCodec(SIGNATURE)
ROUNDS = 9
MOST_BYTES = 64 * 1024**2


def a_request(rows: np.ndarray, **fields: object) -> bytes:
    tensor = {"name": "features", "shape": rows.shape, "datatype": "FP32"} | fields
    return json.dumps({"inputs": [tensor]}).encode()


def say(name: str, work: Callable[[], object], times: int = 20_000) -> None:
    best = min(timeit.repeat(work, number=times, repeat=ROUNDS, timer=time.process_time)) / times
    print(f"{name:32}{best * 1e6:10.2f} µs")


def main() -> None:
    rng = np.random.default_rng(1)
    row = rng.normal(size=(1, 30)).round(4)
    many = rng.normal(size=(1000, 30)).astype(np.float32)
    flat = a_request(row, data=row.ravel().tolist())
    gap = row.copy()
    gap[0, 0] = np.nan
    head = a_request(row, parameters={"binary_data_size": 120})
    large = a_request(many, data=many.ravel().tolist())
    large_head = a_request(many, parameters={"binary_data_size": many.nbytes})
    reply = InferenceReply(
        "churn",
        "churn-1",
        "x" * 60,
        {"label": np.array([1]), "probabilities": np.array([[0.25, 0.75]], np.float32)},
        {spec.name: spec.datatype for spec in SIGNATURE.outputs},
    )
    request = CODEC.read(flat)
    binary = CODEC.read(head + row.astype(np.float32).tobytes(), len(head))
    binary.binary_outputs = True
    bodies = {
        "read JSON": (flat, None),
        "read JSON, nested": (a_request(row, data=row.tolist()), None),
        "read JSON, null": (flat.replace(str(row[0, 0]).encode(), b"null"), None),
        "read JSON, NaN": (a_request(gap, data=gap.ravel().tolist()), None),
        "read bytes": (head + row.astype(np.float32).tobytes(), len(head)),
        "read JSON of 1,000 rows": (large, None),
        "read bytes of 1,000 rows": (large_head + many.tobytes(), len(large_head)),
    }
    for name, (body, length) in bodies.items():
        say(name, lambda body=body, length=length: CODEC.read(body, length), 50 if len(body) > 200_000 else 20_000)
    say("write JSON", lambda: CODEC.write(reply, request, max_bytes=MOST_BYTES))
    say("write bytes", lambda: CODEC.write(reply, binary, max_bytes=MOST_BYTES))
    say("read and write JSON", lambda: CODEC.write(reply, CODEC.read(flat), max_bytes=MOST_BYTES))


if __name__ == "__main__":
    main()
