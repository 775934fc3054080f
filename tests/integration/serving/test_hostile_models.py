"""Model files made to do harm: each ends `verify` with a reason, and takes nothing else down."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from kingmaker_serving.digest import sha256
from kingmaker_serving.models.artifact import ListedFile, write_manifest
from kingmaker_serving.models.wire import written
from support.onnx_models import a_model, adding, moved_out
from support.servers import digests, run_verb

FLOAT = TensorProto.FLOAT
X, Y = ("x", FLOAT, ["n"]), ("y", FLOAT, ["n"])
GIB = 2**30


def verified(folder: Path, *arguments: str) -> tuple[int, Any, str]:
    return run_verb("verify", "--dir", str(folder), *digests(folder), *arguments, log=folder.parent / "log")


def small_and_greedy() -> bytes:
    """A hundred bytes or so that ask for 16 GiB while they are loaded."""
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["s"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.array([2**32]), "s")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def nested(depth: int) -> bytes:
    """Branches within branches, deeper than protobuf's own writer goes."""
    graph = b""
    for _ in range(depth):
        branch = written(1, b"then_branch") + written(6, graph)
        graph = written(1, written(4, b"If") + written(5, branch))
    return written(7, graph)


def calling_itself() -> bytes:
    """A function whose body is itself."""
    body = [helper.make_node("Again", ["a"], ["b"], domain="own")]
    made = helper.make_function("own", "Again", ["a"], ["b"], body, [helper.make_opsetid("own", 1)])
    node = helper.make_node("Again", ["x"], ["y"], domain="own")
    return a_model([node], [X], [Y], domains=[("own", 1)], functions=[made]).SerializeToString()


def in_a_circle() -> bytes:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["x", "a"], ["b"])]
    return a_model([*nodes, helper.make_node("Identity", ["a"], ["y"])], [X], [Y]).SerializeToString()


def without_its_weight() -> bytes:
    """A weight that says it has more numbers than there are bytes."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2**40], raw_data=b"\0" * 16)
    return a_model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], initializers=[tensor]).SerializeToString()


def negative() -> bytes:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[-1, -4], raw_data=b"\0" * 16)
    return a_model([helper.make_node("Add", ["x", "w"], ["y"])], [X], [Y], initializers=[tensor]).SerializeToString()


def in_memory() -> bytes:
    """External data at an address of the process, as ONNX Runtime marks its own."""
    model = ModelProto.FromString(without_its_weight())
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.dims[:] = [4]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "*/_ORT_MEM_ADDR_/*"), ("offset", "4096"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return model.SerializeToString()


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "16 GiB from a hundred bytes": (small_and_greedy, "memory"),
    "branches 40 deep": (lambda: nested(40), "nested deeper than 32"),
    "branches 5,000 deep": (lambda: nested(5000), "nested deeper than 32"),
    "a function that calls itself": (calling_itself, ""),
    "a circle": (in_a_circle, ""),
    "a weight without its numbers": (without_its_weight, ""),
    "a weight of negative size": (negative, ""),
    "an address in memory": (in_memory, "did not come with it"),
}


@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES)
def test_a_file_that_is_made_to_harm_has_a_reason(tmp_path: Path, make: Callable[[], bytes], words: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(make())
    code, message, stderr = verified(tmp_path / "model", "--memory-bytes", str(2 * GIB), "--deadline", "30")
    assert code == 1, stderr
    assert message["reason"] == "InvalidModel"
    assert words in message["message"]
    assert len(json.dumps(message)) <= 4096


def test_the_greedy_file_is_as_small_as_it_says() -> None:
    assert len(small_and_greedy()) < 110


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model whose weights are in `data/weights.bin`, with its manifest, and a secret beside the folder."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    moved_out(adding(2.0), folder, name="data/weights.bin")
    paths = ["model.onnx", "data/weights.bin"]
    files = [ListedFile(path, sha256((folder / path).read_bytes()), (folder / path).stat().st_size) for path in paths]
    (folder / "manifest.json").write_bytes(write_manifest(files))
    (tmp_path / "secret").write_bytes((folder / "data" / "weights.bin").read_bytes())
    return folder


def symlink(folder: Path) -> None:
    (folder / "data" / "weights.bin").unlink()
    (folder / "data" / "weights.bin").symlink_to(folder.parent / "secret")


def hardlink(folder: Path) -> None:
    (folder / "data" / "weights.bin").unlink()
    os.link(folder.parent / "secret", folder / "data" / "weights.bin")


def linked_folder(folder: Path) -> None:
    (folder / "data").rename(folder.parent / "elsewhere")
    (folder / "data").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("change", [symlink, hardlink, linked_folder], ids=lambda change: change.__name__)
def test_external_data_behind_a_link_is_refused_even_with_the_right_bytes(
    external: Path, change: Callable[[Path], None]
) -> None:
    assert verified(external)[0] == 0
    change(external)
    code, message, _ = verified(external)
    assert (code, message["reason"]) == (1, "DigestMismatch")
