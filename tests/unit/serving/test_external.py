"""Tensors that live in other files: taken from the files that came with the model, and from nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.session import ModelSession, Stop
from support.onnx_models import a_model

FLOAT = TensorProto.FLOAT
X, Y = ("x", FLOAT, [3]), ("y", FLOAT, [3])
WEIGHTS = np.array([1, 2, 3, 4, 5, 6], np.float32).tobytes()
ONES = np.ones(3, np.float32)


def outside(location: str = "weights.bin", **entries: object) -> TensorProto:
    """Three floats called `w` that live in another file."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def weight(tensor: TensorProto) -> ModelProto:
    return a_model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], initializers=[tensor])


def constant(tensor: TensorProto) -> ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])]
    return a_model(nodes, [X], [Y])


def branch(tensor: TensorProto) -> ModelProto:
    out = helper.make_tensor_value_info("z", FLOAT, [3])
    add = helper.make_node("Add", ["x", "w"], ["z"])
    graph = helper.make_graph([add], "branch", [], [out], initializer=[tensor])
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["y"], then_branch=graph, else_branch=graph)
    return a_model([node], [X], [Y], initializers=[yes])


def function(tensor: TensorProto) -> ModelProto:
    body = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["a", "w"], ["b"])]
    made = helper.make_function("own", "AddW", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    node = helper.make_node("AddW", ["x"], ["y"], domain="own")
    return a_model([node], [X], [Y], domains=[("own", 1)], functions=[made])


def sparse(tensor: TensorProto) -> ModelProto:
    indices = numpy_helper.from_array(np.arange(3, dtype=np.int64), "places")
    model = a_model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [3]))
    return model


PLACES = pytest.mark.parametrize("place", [weight, constant, branch, function, sparse])
Place = Callable[[TensorProto], ModelProto]


def answer(model: ModelProto, files: dict[str, bytes]) -> list[float]:
    session = ModelSession(model.SerializeToString(), files=files)
    return session.run({"x": ONES}, [], Stop()).outputs["y"].tolist()


@pytest.fixture
def folder_of_traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is in a folder that holds other weights of the same names."""
    for name in ("weights.bin", "below/weights.bin"):
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(bytes(len(WEIGHTS)))
    (tmp_path / "weights.bin").write_bytes(bytes(len(WEIGHTS)))
    monkeypatch.chdir(tmp_path / "here")


@PLACES
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, [2, 3, 4]),
        ({"length": 12}, [2, 3, 4]),
        ({"offset": 12}, [5, 6, 7]),
        ({"offset": 8, "length": 12, "checksum": "0" * 40}, [4, 5, 6]),
        ({"location": "./weights.bin", "length": 12}, [2, 3, 4]),
    ],
    ids=["the file", "its beginning", "its end", "a part", "a longer way to it"],
)
def test_a_tensor_comes_from_the_file_that_came_with_the_model(
    folder_of_traps: None, place: Place, entries: dict, expected: list
) -> None:
    file = WEIGHTS if entries else WEIGHTS[:12]
    assert answer(place(outside(**entries)), {"weights.bin": file}) == expected


@PLACES
def test_a_file_in_a_folder(folder_of_traps: None, place: Place) -> None:
    assert answer(place(outside("below/weights.bin", length=12)), {"below/weights.bin": WEIGHTS}) == [2, 3, 4]


@PLACES
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "other.bin"}, "did not come with it"),
        ({"location": "Weights.bin"}, "did not come with it"),
        ({"location": "../weights.bin"}, "external data at '../weights.bin'"),
        ({"location": "below/../../weights.bin"}, "external data at"),
        ({"location": "/etc/passwd"}, "external data at '/etc/passwd'"),
        ({"location": "//etc/passwd"}, "external data at"),
        ({"location": "..\\weights.bin"}, "external data at"),
        ({"location": ""}, "external data at ''"),
        ({"location": "*/_ORT_MEM_ADDR_/*", "offset": 4096, "length": 12}, "did not come with it"),
        ({"offset": 16, "length": 12}, "has bytes 16 to 28 of 'weights.bin', which has 24"),
        ({"offset": 2**62, "length": 12}, "external data at"),
        ({"offset": 10**17, "length": 12}, "has bytes"),
        ({"offset": -4, "length": 12}, "offset -4"),
        ({"offset": "٣", "length": 12}, "external data at"),
        ({"length": 10**17}, "has bytes"),
        ({"length": 4}, ""),
    ],
)
def test_what_is_not_in_a_file_that_came_with_the_model_is_refused(
    folder_of_traps: None, place: Place, entries: dict, words: str
) -> None:
    with pytest.raises(VerbError) as caught:
        answer(place(outside(**entries)), {"weights.bin": WEIGHTS})
    assert caught.value.reason is Reason.INVALID_MODEL
    assert words in caught.value.message


@PLACES
def test_a_place_that_is_told_twice_is_refused(folder_of_traps: None, place: Place) -> None:
    tensor = outside(length=12)
    tensor.external_data.add(key="location", value="other.bin")
    with pytest.raises(VerbError, match="says 'location' twice"):
        answer(place(tensor), {"weights.bin": WEIGHTS, "other.bin": WEIGHTS})


@PLACES
def test_without_its_file_a_model_says_how_to_package_it(folder_of_traps: None, place: Place) -> None:
    with pytest.raises(VerbError, match="digest manifest, or save it as one file"):
        answer(place(outside(length=12)), {})
