"""KServe's `InferenceRESTClient` as it is by default: tensors are bytes. Run by the Python that has it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

CHURN, TEXTS, HALF = sys.argv[1:4]


def a_request(*tensors: tuple[str, str, np.ndarray], binary: bool = True, **fields: object) -> InferRequest:
    inputs = []
    for name, datatype, array in tensors:
        tensor = InferInput(name=name, shape=list(array.shape), datatype=datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return InferRequest(model_name="churn", infer_inputs=inputs, **fields)


def features(rows: int) -> tuple[str, str, np.ndarray]:
    return "features", "FP32", np.array([[2, 0, 0]] * rows, np.float32)


def same(found: object, expected: object) -> None:
    assert found == expected, f"found {found}, expected {expected}"


async def main() -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))

    async def binary() -> None:
        answer = await client.infer(CHURN, a_request(features(2)), model_name="churn")
        same(answer.outputs[0].as_numpy().tolist(), [1, 1])

    async def json() -> None:
        answer = await client.infer(CHURN, a_request(features(2), binary=False), model_name="churn")
        same(answer.outputs[0].as_numpy().tolist(), [1, 1])
        same(answer.outputs[1].as_numpy().shape, (2, 2))

    async def parameters() -> None:
        request = a_request(features(1), request_id="mine", parameters={"binary_data_output": True, "mine": 5})
        answer = await client.infer(CHURN, request, model_name="churn")
        same((answer.id, answer.outputs[0].as_numpy().tolist()), ("mine", [1]))

    async def packed() -> None:
        headers: dict[str, str] = {}
        answer = await client.infer(CHURN, a_request(features(1000)), model_name="churn", response_headers=headers)
        same((headers.get("content-encoding"), len(answer.outputs[0].as_numpy())), ("gzip", 1000))

    async def texts(binary: bool = True) -> None:
        # In JSON this client writes an infinity as null.
        numbers = np.array([np.nan, np.inf if binary else 1], np.float32)
        words = np.array(["Zürich", ""], object)
        tensors = [("t", "BYTES", words), ("a", "FP32", numbers), ("b", "FP32", np.zeros(2, np.float32))]
        answer = await client.infer(TEXTS, a_request(*tensors, binary=binary), model_name="churn")
        found = {output.name: output.as_numpy().tolist() for output in answer.outputs}
        same(str(found["sum"]), str(numbers.tolist()))
        same([text if isinstance(text, str) else text.decode() for text in found["text"]], ["Zürich", ""])

    async def half() -> None:
        array = np.array([[1.5, -2]], np.float16)
        request = a_request(("x", "FP16", array), parameters={"binary_data_output": True})
        answer = await client.infer(HALF, request, model_name="churn")
        same(answer.outputs[0].as_numpy().tolist(), [[1.5, -2]])

    async def health() -> None:
        same(await client.is_server_ready(CHURN), True)
        same(await client.is_server_live(CHURN), True)
        same(await client.is_model_ready(CHURN, "churn"), True)
        same(await client.is_model_ready(CHURN, "other"), False)

    async def refused() -> None:
        try:
            await client.infer(CHURN, a_request(("z", "FP32", np.zeros(1, np.float32))), model_name="churn")
        except httpx.HTTPStatusError as error:
            found = str(error)
        else:
            found = "an answer"
        same("input 'z' is unknown" in found, True)

    async def concurrent() -> None:
        answers = [client.infer(CHURN, a_request(features(1)), model_name="churn") for _ in range(32)]
        for answer in await asyncio.gather(*answers):
            same(answer.outputs[0].as_numpy().tolist(), [1])

    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "binary tensors": binary,
        "JSON": json,
        "id and parameters": parameters,
        "a large answer, which comes packed": packed,
        "texts and numbers that are none, as bytes": texts,
        "texts and numbers that are none, as JSON": lambda: texts(binary=False),
        "half floats": half,
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
