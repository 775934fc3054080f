"""Requests and replies in JSON."""

from math import inf, nan
from typing import Any

import msgspec
import numpy as np
import pytest

from kingmaker_serving.errors import ServingError
from kingmaker_serving.protocol.rest import RestCodec
from kingmaker_serving.protocol.signature import NUMPY, Signature, TensorSpec
from kingmaker_serving.protocol.values import InferenceRequest, Wanted
from support.tensors import a_reply, a_signature, a_tensor, read


def a_body(**fields: Any) -> dict[str, Any]:
    return {"inputs": [a_tensor(**fields)]}


def with_data(text: str, **fields: Any) -> str:
    return msgspec.json.encode(a_body(data=["here"], **fields)).decode().replace('["here"]', text)


def x_of(body: Any, signature: Signature | None = None) -> np.ndarray:
    return read(body, signature).inputs["x"]


@pytest.mark.parametrize(
    ("datatype", "data", "written"),
    [
        ("BOOL", [True, False], "[true,false]"),
        ("UINT8", [0, 255], "[0,255]"),
        ("UINT16", [0, 65535], "[0,65535]"),
        ("UINT32", [0, 2**32 - 1], "[0,4294967295]"),
        ("UINT64", [0, 2**64 - 1], "[0,18446744073709551615]"),
        ("INT8", [-128, 127], "[-128,127]"),
        ("INT16", [-32768, 32767], "[-32768,32767]"),
        ("INT32", [-(2**31), 2**31 - 1], "[-2147483648,2147483647]"),
        ("INT64", [-(2**63), 2**63 - 1], "[-9223372036854775808,9223372036854775807]"),
        ("FP32", [1.5, -2], "[1.5,-2.0]"),
        ("FP64", [1e300, 5e-324], "[1e300,5e-324]"),
        ("BYTES", ["", "Zürich"], '["","Zürich"]'),
    ],
)
def test_every_datatype_is_read_and_written(datatype: str, data: list[Any], written: str) -> None:
    signature = a_signature(datatype)
    array = x_of(a_body(datatype=datatype, data=data), signature)
    assert array.dtype == NUMPY[datatype]
    assert array.tolist() == [data]
    body, length = RestCodec(signature).write(a_reply(signature, y=array), InferenceRequest({}), max_bytes=1000)
    assert length is None
    assert body.decode() == (
        '{"model_name":"churn","model_version":"churn-1","id":"an id","outputs":'
        f'[{{"name":"y","datatype":"{datatype}","shape":[1,2],"data":{written}}}]}}'
    )


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [[1, 2], [3, 4]]),
        ([1, 2], [[1, 2]]),
        ([2, 1, 2], [[[1, 2]], [[3, 4]]]),
        ([3, 1], [[1], [2], [3]]),
        ([0, 2], []),
        ([2, 0], [[], []]),
        ([2, 0], []),
        ([0, 0], []),
        ([1], [7]),
        ([], [7]),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "INT8", "BYTES"])
def test_data_may_be_flat_or_nested_like_the_shape(datatype: str, shape: list[int], data: list[Any]) -> None:
    expected = np.array(data, dtype=np.int64).reshape(shape)
    signature = a_signature(datatype, [-1] * len(shape))
    text = msgspec.json.encode(data).decode()
    if datatype == "BYTES":
        text = "".join(f'"{character}"' if character.isdigit() else character for character in text)
    for spaced in (text, text.replace("[", " [\n\t").replace("]", " ] ").replace(",", " , ")):
        array = x_of(with_data(spaced, datatype=datatype, shape=shape), signature)
        assert array.shape == tuple(shape)
        assert array.astype(np.int64).tolist() == expected.tolist()
        assert array.flags.c_contiguous


def test_null_is_a_missing_value_and_each_infinity_has_its_name() -> None:
    signature = a_signature(shape=(-1,))
    sent = '[null, "NaN", "Infinity", "-Infinity", 1]'
    array = x_of(with_data(sent, shape=[5]), signature)
    np.testing.assert_array_equal(array, np.array([nan, nan, inf, -inf, 1], np.float32))
    body, _ = RestCodec(signature).write(a_reply(signature, y=array), InferenceRequest({}), max_bytes=1000)
    assert body.endswith(b'"data":[null,null,"Infinity","-Infinity",1.0]}]}')


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_the_words_that_python_writes_are_numbers(datatype: str) -> None:
    text = with_data("[NaN, -Infinity, Infinity, 1]", datatype=datatype, shape=[4])
    array = x_of(text.encode(), a_signature(datatype, (-1,)))
    np.testing.assert_array_equal(array, [nan, -inf, inf, 1])
    nested = with_data("[[NaN],[-Infinity]]", datatype=datatype, shape=[2, 1])
    np.testing.assert_array_equal(x_of(nested, a_signature(datatype, (-1, 1))), [[nan], [-inf]])


def test_the_words_in_texts_stay_texts() -> None:
    specs = (TensorSpec("x", "FP32", (-1,)), TensorSpec("t", "BYTES", (-1,)))
    texts = ["NaN", 'a "NaN, -Infinity" b', "\\", 'Infinity\\"', ""]
    body = {"inputs": [a_tensor(shape=[1], data=[1]), a_tensor(name="t", datatype="BYTES", shape=[5], data=texts)]}
    raw = msgspec.json.encode(body).replace(b'"data":[1]', b'"data":[NaN]')
    inputs = read(raw, Signature(specs, ())).inputs
    assert np.isnan(inputs["x"]).all()
    assert inputs["t"].tolist() == texts


def test_what_a_client_asks_for_is_kept_in_order() -> None:
    outputs = tuple(TensorSpec(name, "FP32", (-1,)) for name in ("a", "b", "c"))
    signature = Signature((TensorSpec("x", "FP32", (-1, 2)),), outputs)
    asked = [
        {"name": "c"},
        {"name": "a", "parameters": {"binary_data": True, "unknown": 5}},
        {"name": "b", "parameters": {"classification": 3}},
    ]
    body = a_body(parameters={"content_type": "np"}) | {"id": "mine", "outputs": asked, "parameters": {"priority": 1}}
    request = read(body, signature)
    assert request.outputs == [Wanted("c"), Wanted("a", binary=True), Wanted("b", classification=3)]
    assert (request.id, request.parameters, request.binary_outputs) == ("mine", {"priority": 1}, False)


def test_a_plain_request_asks_for_everything() -> None:
    for fields in ({}, {"id": None, "outputs": None, "parameters": None}, {"outputs": [], "parameters": {}, "more": 1}):
        request = read(a_body() | fields)
        assert (list(request.outputs), request.id, request.parameters) == ([], "", {})


def test_an_input_that_is_optional_may_be_left_out() -> None:
    specs = (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("z", "FP32", (-1, 2), optional=True))
    assert list(read(a_body(), Signature(specs, ())).inputs) == ["x"]


def test_any_shape_is_read_where_the_model_tells_none() -> None:
    signature = a_signature(shape=())
    assert x_of(a_body(shape=[1, 2, 1]), signature).shape == (1, 2, 1)
    assert x_of(a_body(shape=[], data=[1]), signature).shape == ()


def test_large_data_are_read_in_pieces() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(40_000, 2)).astype(np.float32)
    rows[7, 0] = nan
    for data in (rows.ravel().tolist(), rows.tolist()):
        raw = msgspec.json.encode(a_body(shape=[40_000, 2], data=data))
        assert len(raw) > 1_000_000
        np.testing.assert_array_equal(x_of(raw), rows)
    data[39_999][1] = "2"  # type: ignore[index]
    with pytest.raises(ServingError, match=r"got str - at data\[79999\]"):
        x_of(a_body(shape=[40_000, 2], data=data))
    data[39_999][1] = 1e39  # type: ignore[index]
    with pytest.raises(ServingError, match=r"element 79999 \(1e\+39\) is beyond the range of FP32"):
        x_of(a_body(shape=[40_000, 2], data=data))


def test_many_texts_are_read() -> None:
    texts = [f'{number}, ["a\\"]' for number in range(40_000)]
    flat = x_of(a_body(datatype="BYTES", shape=[20_000, 2], data=texts), a_signature("BYTES"))
    assert flat.ravel().tolist() == texts
    pairs = [texts[start : start + 2] for start in range(0, 40_000, 2)]
    nested = x_of(a_body(datatype="BYTES", shape=[20_000, 2], data=pairs), a_signature("BYTES"))
    assert nested.ravel().tolist() == texts


def test_a_large_answer_is_written_in_pieces() -> None:
    signature = a_signature(shape=(-1,))
    array = np.arange(200_000, dtype=np.float32)
    array[150_000] = inf
    body, _ = RestCodec(signature).write(a_reply(signature, y=array), InferenceRequest({}), max_bytes=10**7)
    data = msgspec.json.decode(body)["outputs"][0]["data"]
    assert data[150_000] == "Infinity"
    data[150_000] = inf
    assert data == array.tolist()


@pytest.mark.parametrize(
    ("bound", "words"),
    [(399, "the answer has 400 bytes, at most 399 are sent"), (450, "over 450 bytes as JSON; ask for fewer rows")],
)
def test_an_answer_over_its_bound_is_not_written(bound: int, words: str) -> None:
    signature = a_signature()
    reply = a_reply(signature, y=np.full((50, 2), 0.1, np.float32))
    with pytest.raises(ServingError) as caught:
        RestCodec(signature).write(reply, InferenceRequest({}), max_bytes=bound)
    assert caught.value.code.status == 400
    assert words.split(" bytes")[1] in caught.value.message


def test_a_text_that_is_not_utf8_is_answered_with_the_replacement_character() -> None:
    signature = a_signature("BYTES", (-1,))
    array = np.array([b"ok", b"Z\xfcrich", "\udcff", "é"], dtype=object)
    body, _ = RestCodec(signature).write(a_reply(signature, y=array), InferenceRequest({}), max_bytes=1000)
    assert msgspec.json.decode(body)["outputs"][0]["data"] == ["ok", "Z\ufffdrich", "\ufffd", "é"]


def test_parameters_of_a_reply_are_written() -> None:
    signature = a_signature()
    reply = a_reply(signature, y=np.zeros((1, 2), np.float32))
    reply.parameters = {"rows": 1}
    body, _ = RestCodec(signature).write(reply, InferenceRequest({}), max_bytes=1000)
    assert msgspec.json.decode(body)["parameters"] == {"rows": 1}


BAD: list[tuple[str, Any, str]] = [
    ("another datatype", a_body(datatype="INT64"), 'input "x" has datatype INT64, the model takes FP32'),
    ("a rank too few", a_body(shape=[2]), "(2 dimensions expected, got 1)"),
    ("a wrong dimension", a_body(shape=[1, 3], data=[1, 2, 3]), "(dimension 1 must be 2, got 3)"),
    ("a negative dimension", a_body(shape=[-1, 2]), "no dimension may be negative"),
    ("a product beyond 64 bits", a_body(shape=[2**40, 2]), "too many elements; send fewer rows"),
    ("a dimension of 4,300 digits", with_data("[]").replace("[1,2]", "[" + "9" * 4300 + ",2]"), "too many elements"),
    ("a dimension of 5,000 digits", with_data("[]").replace("[1,2]", "[" + "9" * 5000 + ",2]"), "out of range"),
    ("a very long shape", with_data("[]").replace("[1,2]", "[" + "1," * 40_000 + "2]"), "80003 bytes"),
    ("a shape with a fraction", a_body(shape=[1.5, 2]), "expected int, got float"),
    ("a shape that is none", a_body(shape="1,2"), "shape can't be read: expected array, got str"),
    ("too few elements", a_body(data=[1]), "1 elements do not fill shape [1, 2] (2 expected)"),
    ("too many elements", a_body(data=[1, 2, 3]), "3 elements do not fill shape"),
    ("elements for no rows", a_body(shape=[0, 2], data=[1]), "1 elements do not fill shape [0, 2] (0 expected)"),
    ("no elements for a row", a_body(data=[]), "0 elements do not fill shape"),
    ("text in a number's place", a_body(data=[1, "2"]), "expected float | null, got str - at data[1]"),
    ("a truth value", a_body(data=[1, True]), "got bool"),
    ("an object", a_body(data={"a": 1}), "expected array, got object"),
    ("a list of objects", a_body(data=[{"a": 1}, 2]), "got object - at data[0]"),
    ("no data", a_body(data=None), 'has no data; send "data" as a JSON list'),
    ("null data", with_data("null"), "expected array, got null"),
    ("nesting that is ragged", a_body(shape=[2, 2], data=[[1, 2], [3], 4]), "does not follow shape [2, 2]"),
    ("nesting in part", a_body(data=[1, [2]]), "does not follow shape"),
    ("nesting too deep", a_body(data=[[[1, 2]]]), "does not follow shape"),
    ("nesting for no rows", a_body(shape=[0, 2], data=[[]]), "does not follow shape"),
    ("beyond FP32", a_body(data=[1, 1e39]), "element 1 (1e+39) is beyond the range of FP32"),
    ("beyond all floats", with_data("[1e400,1]"), "out of range - at data[0]"),
    ("5,000 digits", with_data("[" + "9" * 5000 + ",1]"), "out of range"),
    ("deep nesting", '{"inputs":' + "[" * 5000 + "]" * 5000 + "}", "got array"),
    ("deep nesting aside", '{"a":' + "[" * 50_000 + "]" * 50_000 + "}", "nested too deeply"),
    ("2,000 levels of data", with_data("[" * 2000 + "]" * 2000), "nested too deeply"),
    ("900 levels of data", with_data("[" * 900 + "1,2" + "]" * 900), "does not follow shape"),
    ("an unknown input", a_body(name="z"), "input 'z' is unknown; the model takes ['x']"),
    ("an input twice", {"inputs": [a_tensor()] * 2}, "input 'x' is there twice"),
    ("no inputs", {"inputs": []}, "is missing; the request has []"),
    ("no field inputs", {}, "missing required field inputs"),
    ("a list", "[]", "expected object, got array"),
    ("no JSON", "{", "request can't be read"),
    ("nothing", "", "request can't be read"),
    ("words run together", with_data("[NaNNaN,1]"), "malformed"),
    ("a word with a sign too many", with_data("[-NaN,1]"), "malformed"),
    ("a word as a size", with_data("[1,2]").replace("[1,2]", "[NaN,2]", 1), "shape can't be read: expected int"),
    ("an unknown word", with_data('["infinite",1]'), "expected float | null, got str"),
    ("bytes that are no UTF-8", b'{"inputs": [{"name": "\xff"}]}', "utf-8"),
    ("half of a surrogate pair", with_data('["\\ud800", 1]'), "request can't be read"),
    ("an id that is a number", a_body() | {"id": 5}, "expected str | null, got int"),
    ("an endless id", a_body() | {"id": "x" * 1025}, "id has 1025 characters; send 1024 at most"),
    ("an unknown output", a_body() | {"outputs": [{"name": "z"}]}, "output 'z' is unknown; the model gives ['y']"),
    ("an output twice", a_body() | {"outputs": [{"name": "y"}] * 2}, "output 'y' is asked for twice"),
    ("a parameter that is a list", a_body() | {"parameters": {"a": [1]}}, "the request: parameters can't be read"),
    ("a parameter that is null", a_body(parameters={"a": None}), 'input "x": parameters can\'t be read'),
    ("an output's parameter that is an object", a_body() | {"outputs": [{"name": "y", "parameters": {"a": {}}}]},
     'output "y": parameters can\'t be read'),
    ("parameters without end", a_body(parameters={f"p{number}": 1 for number in range(9000)}), "bytes; nothing that"),
    ("classification of none", a_body() | {"outputs": [{"name": "y", "parameters": {"classification": 0}}]},
     'output "y": classification is 0'),
    ("binary that is a number", a_body() | {"outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
     "binary_data is '1'; it is true or false"),
    ("binary outputs as text", a_body() | {"parameters": {"binary_data_output": "yes"}}, "it is true or false"),
    ("shared memory", a_body(parameters={"shared_memory_region": "r"}), "no shared memory here"),
    ("shared memory for an answer",
     a_body() | {"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}, "no shared memory here"),
    ("binary data that are not there", a_body(data=None, parameters={"binary_data_size": 8}), "0 bytes follow"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_request_is_told_what_is_wrong(body: Any, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(body)
    assert caught.value.code.status == 400
    assert words.lower() in caught.value.message.lower()
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    ("datatype", "data", "words"),
    [
        ("INT8", [300, 0], "element 0 (300) is beyond the range of INT8"),
        ("UINT64", [0, -1], "element 1 (-1) is beyond the range of UINT64"),
        ("INT64", [2**64, 0], "element 0 (18446744073709551616) is beyond"),
        ("INT32", [1, None], "expected int, got null - at data[1]"),
        ("INT64", [1, 1.5], "expected int, got float - at data[1]"),
        ("BOOL", [True, 0], "expected bool, got int - at data[1]"),
        ("BYTES", ["a", None], 'texts ("" for a missing one): expected str, got null - at data[1]'),
        ("BYTES", ["a", 5], "got int - at data[1]"),
        ("BYTES", [["a"], ["b"]], "does not follow shape [1, 2]"),
        ("FP16", [1, 2], 'input "x": FP16 has no JSON form; send it as binary data'),
        ("BF16", [1, 2], "BF16 has no JSON form"),
    ],
)
def test_elements_of_another_kind_are_refused(datatype: str, data: list[Any], words: str) -> None:
    # The answer is asked for as bytes, for half floats have no JSON form either way.
    body = a_body(datatype=datatype, data=data) | {"parameters": {"binary_data_output": True}}
    with pytest.raises(ServingError) as caught:
        read(body, a_signature(datatype))
    assert words in caught.value.message.replace("Expected", "expected")


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_floats_are_not_answered_in_json(datatype: str) -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", datatype, (-1,)),))
    for fields in ({}, {"outputs": [{"name": "y"}]}):
        with pytest.raises(ServingError, match='"binary_data": true'):
            read(a_body() | fields, signature)
    assert read(a_body() | {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, signature).outputs
    assert read(a_body() | {"outputs": [{"name": "y", "parameters": {"classification": 1}}]}, signature).outputs


def test_the_model_says_how_many_tensors_there_may_be() -> None:
    specs = tuple(TensorSpec(f"column {number}", "FP32", (-1,)) for number in range(300))
    tensors = [a_tensor(name=spec.name, shape=[1], data=[number]) for number, spec in enumerate(specs)]
    inputs = read({"inputs": tensors}, Signature(specs, ())).inputs
    assert inputs["column 299"] == [299]
    with pytest.raises(ServingError, match=r"input 'column 1 FP32 \[-1\]' is missing; the request has \['column 0'\]"):
        read({"inputs": tensors[:1]}, Signature(specs, ()))
    many = msgspec.json.encode({"inputs": [a_tensor(data=[1] * 80)] * 6000})
    assert len(many) > 1024**2
    with pytest.raises(ServingError, match="the request has 6000 inputs; the model takes 1"):
        read(many)


@pytest.mark.parametrize(
    ("datatype", "count", "size"), [("FP64", 1000, 8000), ("UINT8", 9000, 9000), ("BYTES", 1000, 16_000)]
)
def test_a_limit_counts_decoded_bytes(datatype: str, count: int, size: int) -> None:
    element = "" if datatype == "BYTES" else 1
    body = a_body(datatype=datatype, shape=[count], data=[element] * count)
    assert read(body, a_signature(datatype, (-1,)), max_bytes=size).inputs["x"].size == count
    with pytest.raises(ServingError, match=f"{size} bytes once decoded, {size - 1} are left") as caught:
        read(body, a_signature(datatype, (-1,)), max_bytes=size - 1)
    assert caught.value.code.status == 413


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_large_tensor_is_refused_before_it_is_read(datatype: str) -> None:
    element = '"",' if datatype == "BYTES" else "0,"
    text = "[" + element * 199_999 + element[:-1] + "]"
    with pytest.raises(ServingError, match="bytes once decoded") as caught:
        read(with_data(text, datatype=datatype, shape=[100_000, 2]), a_signature(datatype), max_bytes=100_000)
    assert caught.value.code.status == 413
    with pytest.raises(ServingError, match="200000 elements do not fill shape"):
        read(with_data(text, datatype=datatype), a_signature(datatype))
