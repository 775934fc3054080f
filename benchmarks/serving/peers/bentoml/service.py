"""A BentoML service around ONNX Runtime that reads and writes the protocol's JSON, on the path of the protocol."""

import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime

DATATYPES = {"int64": "INT64", "float32": "FP32"}


@bentoml.service(
    workers=1,
    logging={"access": {"enabled": False}},
    monitoring={"enabled": False},
    tracing={"sample_rate": 0.0},
)
class Churn:
    """One session, one thread."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = os.environ["BENCH_MODEL"]
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    @bentoml.api(route="/v2/models/churn/infer")
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Run all inputs, answer all outputs."""
        feeds = {
            tensor["name"]: np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"]) for tensor in inputs
        }
        outputs = [
            {
                "name": name,
                "datatype": DATATYPES[array.dtype.name],
                "shape": array.shape,
                "data": array.ravel().tolist(),
            }
            for name, array in zip(self._names, self._session.run(self._names, feeds), strict=True)
        ]
        return {"model_name": "churn", "outputs": outputs}
