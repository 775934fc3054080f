"""A custom predictor of KServe's Python SDK around ONNX Runtime: `python server.py --model FILE …` and KServe's own."""

import argparse
import logging

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import generate_uuid

DATATYPES = {"tensor(int64)": "INT64", "tensor(float)": "FP32"}


class OnnxModel(Model):
    """One session, one thread."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(name)
        self._file = file
        self.load()

    def load(self) -> bool:
        """Make the session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self._file, options, providers=["CPUExecutionProvider"])
        self._outputs = [(output.name, DATATYPES[output.type]) for output in self._session.get_outputs()]
        self.ready = True
        return self.ready

    async def predict(self, payload: InferRequest, _headers: dict[str, str] | None = None) -> InferResponse:
        """Run all inputs, answer all outputs, in binary when that is asked for or gRPC asks."""
        arrays = self._session.run(None, {tensor.name: tensor.as_numpy() for tensor in payload.inputs})
        is_binary = payload.from_grpc or bool(payload.use_binary_outputs)
        outputs = []
        for (name, datatype), array in zip(self._outputs, arrays, strict=True):
            output = InferOutput(name, list(array.shape), datatype)
            output.set_data_from_numpy(array, binary_data=is_binary)
            outputs.append(output)
        return InferResponse(payload.id or generate_uuid(), self.name, outputs, use_binary_outputs=is_binary)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model", required=True)
    args = parser.parse_args()
    server = ModelServer()
    # Its access log can't be left out by an option.
    for name in ("kserve", "kserve.trace", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
    server.start([OnnxModel(args.model_name, args.model)])
