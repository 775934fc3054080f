"""The bare program: reads HTTP, decodes JSON, runs the model, encodes JSON, and nothing else. It trusts every client.

`python bare.py MODEL PORT`. No limits, no errors, no counts, no ids, no deadlines: what a server of this kind, in
Python, on one core, can't be faster than by much.
"""

import asyncio
import sys

import httptools
import msgspec
import numpy as np
import onnxruntime
import uvloop


class Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class Request(msgspec.Struct):
    inputs: list[Tensor]


DECODER, ENCODER = msgspec.json.Decoder(Request), msgspec.json.Encoder()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session, self.parts = session, []
        self.parser = httptools.HttpRequestParser(self)
        self.data_received = self.parser.feed_data

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.write = transport.write

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)

    def on_message_complete(self) -> None:
        tensor = DECODER.decode(b"".join(self.parts)).inputs[0]
        self.parts.clear()
        features = np.array(tensor.data, dtype=np.float32).reshape(tensor.shape)
        label, chances = self.session.run(None, {tensor.name: features})
        outputs = [
            {"name": "label", "datatype": "INT64", "shape": label.shape, "data": label.tolist()},
            {"name": "probabilities", "datatype": "FP32", "shape": chances.shape, "data": chances.ravel().tolist()},
        ]
        body = ENCODER.encode({"model_name": "churn", "outputs": outputs})
        self.write(HEAD % len(body) + body)


async def serve(model: str, port: int) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    server = await asyncio.get_running_loop().create_server(lambda: Connection(session), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
