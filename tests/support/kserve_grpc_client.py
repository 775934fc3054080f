"""KServe's `InferenceGRPCClient` as it is by default. Run by the Python that has it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

TARGET = sys.argv[1]


def a_request(rows: np.ndarray, *, raw: bool = True, name: str = "features", **fields: object) -> InferRequest:
    tensor = InferInput(name=name, shape=list(rows.shape), datatype="FP32")
    tensor.set_data_from_numpy(rows, binary_data=raw)
    return InferRequest(model_name="churn", infer_inputs=[tensor], **fields)


def same(found: object, expected: object) -> None:
    assert found == expected, f"found {found}, expected {expected}"


async def main() -> None:
    client = InferenceGRPCClient(url=TARGET, retries=0)
    rows = np.array([[2, 0, 0], [-2, 0, 0]], np.float32)

    async def infer(raw: bool = True) -> None:
        answer = await client.infer(a_request(rows, raw=raw))
        found = {output.name: output.as_numpy() for output in answer.outputs}
        same(found["label"].tolist(), [1, 0])
        same(found["probabilities"].shape, (2, 2))
        same((answer.model_name, answer.model_version), ("churn", "churn-1"))

    async def identity() -> None:
        answer = await client.infer(a_request(rows, request_id="mine", parameters={"note": "hello"}))
        same(answer.id, "mine")

    async def version() -> None:
        answer = await client.infer(a_request(rows, model_version="churn-1"))
        same(answer.model_version, "churn-1")

    async def health() -> None:
        same(await client.is_server_live(), True)
        same(await client.is_server_ready(), True)
        same(await client.is_model_ready("churn"), True)

    async def refused() -> None:
        try:
            await client.infer(a_request(rows, name="z"))
        except grpc.aio.AioRpcError as error:
            same((error.code(), "input 'z' is unknown" in error.details()), (grpc.StatusCode.INVALID_ARGUMENT, True))
        else:
            raise AssertionError("it was answered")

    async def headers() -> None:
        answer = await client.infer(a_request(rows), headers=[("kingmaker-decision", "7")], timeout=10)
        same(answer.outputs[0].as_numpy().tolist(), [1, 0])

    async def concurrent() -> None:
        for answer in await asyncio.gather(*(client.infer(a_request(rows)) for _ in range(64))):
            same(answer.outputs[0].as_numpy().tolist(), [1, 0])

    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "raw contents": infer,
        "typed contents": lambda: infer(raw=False),
        "id and parameters": identity,
        "a version": version,
        "headers and a deadline": headers,
        "health": health,
        "an error says what is wrong": refused,
        "many at a time": concurrent,
    }
    for name, check in checks.items():
        try:
            await check()
            print(f"ok {name}")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is said, and the next check comes
            print(f"no {name}: {error!r}")
    await client.close()


asyncio.run(main())
